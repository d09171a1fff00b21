import { CLIENT_ID } from "../../protocol/keys.ts";
import { USAGE_MONTH } from "../../protocol/usage.ts";
import { COUNTS, type Counts, type Entry } from "./counts.ts";

/** `holdfast-usage 1 <epoch>` */
const HEAD = /^holdfast-usage 1 ([A-Za-z0-9_-]{22})$/;

/** A number that was cut short is a number, so a line says where it ends. */
const END = ".";

export function headOf(epoch: string): string {
  return `holdfast-usage 1 ${epoch}`;
}

/** The epoch in a journal's first line; undefined where it is none. */
export function readHead(line: string): string | undefined {
  return HEAD.exec(line)?.[1];
}

/**
 * What was counted since the last line, as a line: `2026-11 shop 1 0 0 0 512 2048 .`, the counts as `COUNTS` has them. The line
 * break comes first: whatever a write that was cut short left behind, this is a line of its own.
 */
export function lineOf({ month, client, counts }: Entry): string {
  const { requests, refusals, streams, streamMs, bytesUp, bytesDown } = counts;
  return `\n${month} ${client} ${requests} ${refusals} ${streams} ${streamMs} ${bytesUp} ${bytesDown} ${END}`;
}

/** Undefined for what is no whole line. */
export function readLine(line: string): Entry | undefined {
  const [month = "", client = "", ...rest] = line.split(" ");
  if (!USAGE_MONTH.test(month) || !CLIENT_ID.test(client)) return undefined;
  if (rest.length !== COUNTS.length + 1 || rest.at(-1) !== END) return undefined;
  const numbers = rest.slice(0, -1);
  if (!numbers.every((text) => /^\d{1,16}$/.test(text))) return undefined;
  const counts = Object.fromEntries(COUNTS.map((name, index) => [name, Number(numbers[index])]));
  return { month, client, counts: counts as unknown as Counts };
}
