import type { Duplex } from "node:stream";
import { HALF_CLOSED_IDLE_MS, LINGER_MS } from "./limits.ts";
import { reset } from "./reset.ts";

/** The bytes that were read of each side. */
export interface Spliced {
  /** From a to b. */
  readonly up: number;
  /** From b to a. */
  readonly down: number;
}

/**
 * Joins two connections: what comes from one is written to the other, at the pace of whoever is slower, until both have
 * ended. An end is passed on while the other direction goes on. Where one side fails, or closes before its end, the other
 * one is reset, so that nobody takes a cut stream for a whole one.
 *
 * What was read of one side ahead of this call is written to the other one before it, and is not counted. Both sides are
 * closed when it resolves, and it never rejects.
 *
 * @example const { up, down } = await splice(accepted, await open({ host: "db.example.com", port: 5432 }));
 */
export function splice(
  a: Duplex,
  b: Duplex,
  { halfClosedIdleMs = HALF_CLOSED_IDLE_MS, lingerMs = LINGER_MS } = {},
): Promise<Spliced> {
  const count = { up: 0, down: 0 };
  let timer: NodeJS.Timeout | undefined;
  const cut = () => [a, b].forEach(reset);
  const cutAfter = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(cut, ms);
  };
  return new Promise((resolve) => {
    const join = (from: Duplex, to: Duplex, direction: "up" | "down") => {
      // Else the end of one direction would close the other one over it.
      from.allowHalfOpen = true;
      from.on("data", (chunk: Buffer) => {
        count[direction] += chunk.length;
        timer?.refresh();
      });
      from.once("end", () => cutAfter(halfClosedIdleMs));
      from.on("error", () => {});
      from.once("close", () => {
        if (!isOver(from)) reset(to);
        if (!to.closed) return cutAfter(lingerMs);
        clearTimeout(timer);
        resolve(count);
      });
      if (from.readableEnded) cutAfter(halfClosedIdleMs);
      from.pipe(to);
    };
    join(a, b, "up");
    join(b, a, "down");
    // One that was lost before tells nothing of it any more.
    if (a.destroyed || b.destroyed) cut();
    if (a.closed && b.closed) resolve(count);
  });
}

/** Whether a side was read to its end and written to its end. */
function isOver(side: Duplex): boolean {
  return side.readableEnded && side.writableFinished && side.errored === null;
}
