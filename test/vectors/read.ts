import { readFileSync } from "node:fs";

/** Reads one of this folder's files. Its shape is stated by the test that reads it, and proven by the cases that run. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
}
