import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buildWorker } from "../dev/workerd.ts";

/** What every workload of a run needs is made once, in a folder that goes with the process. */

let folder: string | undefined;
const made = new Map<string, Promise<string>>();

/**
 * Makes a file once; returns its path.
 * @param make is given the folder, and tells the path
 */
export function madeOnce(name: string, make: (dir: string) => Promise<string>): Promise<string> {
  if (folder === undefined) {
    const dir = mkdtempSync(join(tmpdir(), "holdfast-bench-made-"));
    folder = dir;
    process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  }
  const known = made.get(name) ?? make(folder);
  made.set(name, known);
  return known;
}

/** The worker's bundle as it is deployed. */
export function workerModule(): Promise<string> {
  return madeOnce("worker", (dir) => buildWorker(join(dir, "worker")));
}

/** The same under another path. */
export async function placeWorkerModule(path: string): Promise<void> {
  const module = await workerModule();
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(module, path);
}
