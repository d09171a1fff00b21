import { readFileSync } from "node:fs";
import { RelayError } from "../../protocol/errors.ts";
import type { FileArguments } from "./arguments.ts";

/** What operators give as a file or as JSON. No message quotes any of it: it may hold a secret. */

/** A record as a file has it. */
export interface FileRecord {
  readonly record: object;
  readonly version?: number;
}

/**
 * A whole record, as `show --json` writes it or without its version.
 * @throws RelayError `request_invalid`
 */
export function readRecordFile(file: string): FileRecord {
  const value = jsonIn(file, "a record");
  const { version, record = value } = (value ?? {}) as { version?: unknown; record?: unknown };
  if (!isObject(record) || (version !== undefined && !Number.isSafeInteger(version))) {
    throw invalid(`${file} holds no record`);
  }
  return { record, ...(version !== undefined && { version: version as number }) };
}

/**
 * The record in a file, and the version that it replaces: undefined of one that is added.
 * @throws RelayError `request_invalid`
 */
export function recordToWrite(
  { record, version }: FileRecord,
  asked: FileArguments & { readonly action: "add" | "update"; readonly id: string },
  kind: "clients" | "routes",
): { readonly record: { readonly id: string }; readonly known: number | undefined } {
  const { action, id, file } = asked;
  const known = asked.version ?? version;
  if (!("id" in record) || record.id !== id) throw invalid(`${file} holds no record of ${id}`);
  if (action === "update" && known === undefined) {
    throw invalid(
      `${file} says no version, so it could undo what others changed: say --if-version, or begin with what \`${kind} show ${id} --json\` writes`,
    );
  }
  return { record: record as { readonly id: string }, known: action === "add" ? undefined : known };
}

/**
 * @param given a file's path, or JSON
 * @param otherwise what could have been meant, where there is no such file
 */
export function jsonIn(given: string, what: string, otherwise = ""): unknown {
  const isInline = given.startsWith("{");
  let text = given;
  try {
    if (!isInline) text = readFileSync(given, "utf8");
  } catch (cause) {
    throw invalid(
      `${what} can't be read from that file (${(cause as NodeJS.ErrnoException).code})${otherwise}`,
    );
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw invalid(`${what} must be JSON`);
  }
}

export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function invalid(detail: string): RelayError {
  return new RelayError("request_invalid", detail);
}
