import { readFileSync } from "node:fs";

/** A node's canonical line of one request, as far as tests look at it. */
export interface RequestLine {
  readonly jti?: string;
  readonly decision: "refused" | "relayed";
  readonly reason?: string;
  readonly [field: string]: unknown;
}

/** The canonical request lines of a node's log file, in order. */
export function requestLines(file: string): RequestLine[] {
  return logLines(file).filter((line) => line["msg"] === "request") as unknown as RequestLine[];
}

/** Every JSON line of a log file. */
export function logLines(file: string): Record<string, unknown>[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/**
 * Waits until something is so, such as a request's line, which is written when its connection's end has come, after the
 * answer. The patience is long, for a loaded machine: a time that is itself checked stands in the call.
 */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  what: string,
  patienceMs = 15_000,
): Promise<void> {
  const until = performance.now() + patienceMs;
  while (!(await check())) {
    if (performance.now() > until) throw new Error(`it never came to be that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until every stream that a log tells of is over: one that ends late would be taken for the next test's. */
export function untilStreamsEnd(log: () => readonly Record<string, unknown>[]): Promise<void> {
  const count = (wanted: string) => log().filter(({ msg }) => msg === wanted).length;
  return eventually(() => count("stream opened") <= count("stream closed"), "all streams are over");
}
