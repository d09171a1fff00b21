import { isRelayError } from "../client/index.ts";
import { type ErrorCode, ERRORS, isErrorCode } from "../protocol/errors.ts";
import { EXIT } from "./command.ts";
import type { FetchArguments } from "./fetch-arguments.ts";
import { timingLines } from "./trace.ts";

const REACHED = {
  no: "the target has seen nothing of it",
  yes: "the target has seen it",
  unknown: "the target may have seen it",
} as const;

/** Tells on stderr why a request failed, and what can be done; returns the exit code. */
export function report(
  error: unknown,
  { maxTime, verbose }: Pick<FetchArguments, "maxTime" | "verbose">,
): number {
  const lines = explain(error, maxTime);
  if (verbose && isRelayError(error) && error.timing !== undefined) lines.push(...timingLines(error.timing));
  process.stderr.write(`holdfast: ${lines.join("\n  ")}\n`);
  return EXIT.failed;
}

/** What the table's mends say to programs, for people at a command line; an empty one leaves it to the detail. */
const MENDS: Partial<Record<ErrorCode, string>> = {
  not_found:
    "`holdfast clients list` tells the clients that there are, `holdfast routes list` the routes, `holdfast handle --list --client ID` a client's handles.",
  request_invalid: "",
  version_conflict:
    "Somebody changed it in between: look at it again (`holdfast clients show ID`), and try again.",
};

/**
 * Tells on stderr why a command failed that asks the edge or this machine alone, and no target; returns the exit code.
 * @param maxTime seconds that it was given
 */
export function reportFailure(error: unknown, maxTime?: number): number {
  if (!isRelayError(error)) return report(error, { maxTime, verbose: false });
  const { code, detail, retryable, cause } = error;
  const mend = isErrorCode(code) ? (MENDS[code] ?? ERRORS[code].mend) : "";
  const lines = [
    `${code}: ${detail}`,
    ...(mend === "" ? [] : [`mend: ${mend}`]),
    ...(retryable ? ["trying again may help"] : []),
    ...(cause instanceof Error ? [`cause: ${rootCause(cause)}`] : []),
  ];
  process.stderr.write(`holdfast: ${lines.join("\n  ")}\n`);
  return EXIT.failed;
}

function explain(error: unknown, maxTime: number | undefined): string[] {
  if (isRelayError(error)) {
    const { code, detail, reached, retryable, node, requestId, retryAfter } = error;
    return [
      `${code}: ${detail}`,
      `reached: ${reached}, ${REACHED[reached]}${retryable ? "; trying again is safe" : ""}`,
      ...(retryAfter === undefined ? [] : [`try again after: ${Math.ceil(retryAfter)} s`]),
      ...(isErrorCode(code) ? [`mend: ${ERRORS[code].mend}`] : []),
      ...(node === undefined ? [] : [`node: ${node}`]),
      ...(requestId === undefined ? [] : [`request: ${requestId}`]),
      ...(error.cause instanceof Error ? [`cause: ${rootCause(error.cause)}`] : []),
    ];
  }
  if (!(error instanceof Error)) return [String(error)];
  if (error.name === "TimeoutError" && maxTime !== undefined) return [`no whole answer within ${maxTime} s`];
  if ("code" in error && error.code === "EPIPE") return ["stdout was closed before the body's end"];
  return [rootCause(error)];
}

/** The innermost message says most: fetch's own is "fetch failed". In one line: OpenSSL's end with a line break. */
export function rootCause(error: Error): string {
  let root = error;
  while (root.cause instanceof Error) root = root.cause;
  const message = root.message.replaceAll(/\s+/g, " ").trim();
  return message || String("code" in root ? root.code : root.name);
}
