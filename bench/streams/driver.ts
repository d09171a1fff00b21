import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { compile } from "../native.ts";
import { CORES } from "../processes.ts";
import type { Mode, Place } from "./relay.ts";

/** What native/stream.c tells; times of echoes in microseconds. */
export interface Streamed {
  /** Of each stream. */
  readonly bytes: number;
  readonly seconds: number;
  /** The driver's own. */
  readonly cpuSeconds: number;
  readonly p50: number;
  readonly p99: number;
}

/** Compiles the driver; returns its path. */
export function streamDriver(): Promise<string> {
  return compile("stream");
}

/**
 * Moves bytes by as many streams as the file has requests. Rejects where a byte is missing, too many or wrong.
 * @param bytes of each stream
 */
export async function drive(
  driver: string,
  { host, port, isTls }: Place,
  {
    mode,
    file,
    direction,
    bytes,
  }: { mode: Mode; file: string; direction: "down" | "up" | "echo"; bytes: number },
): Promise<Streamed> {
  const words = [host, String(port), isTls ? "tls" : "plain", mode, file, direction, String(bytes)];
  const { stdout } = await promisify(execFile)("taskset", ["-c", String(CORES.driver), driver, ...words]);
  return JSON.parse(stdout) as Streamed;
}
