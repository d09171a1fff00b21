import { resolve } from "node:path";
import { buildWorker } from "../../dev/workerd.ts";

/** Where the run's one bundle of the worker stands. */
export const WORKER_DIR = resolve(import.meta.dirname, "../../dist/test-worker");

/** Bundles the worker once for all test files. */
export default async function setup(): Promise<void> {
  await buildWorker(WORKER_DIR);
}
