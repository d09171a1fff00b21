import type { AnswerSize } from "./limits.ts";
import type { WayName } from "./ways.ts";

/** What is measured beside each other. */
export interface Side {
  readonly name: string;
  readonly way: WayName;
  /** Whether connections from the relay's host to the client begin with the larger window. */
  readonly isWide?: boolean;
}

export const DIRECT = "direct";
export const SQUID = "Squid, CONNECT";
export const FETCH = "Holdfast, fetch";
const WIDE = ", larger window";
export const WIDE_FETCH = FETCH + WIDE;

const SIDES: readonly Side[] = [
  { name: DIRECT, way: "direct" },
  { name: SQUID, way: "squid" },
  { name: FETCH, way: "fetch" },
  { name: "Holdfast, relay URL", way: "url" },
  { name: "Holdfast, proxy door", way: "proxy" },
  { name: "Holdfast, stream", way: "stream" },
  { name: "Holdfast, holdfast run", way: "run" },
  { name: "Holdfast, holdfast run, its path opened ahead", way: "ahead" },
];

/** The same host's window is Squid's too. */
const WIDE_SIDES: readonly Side[] = [
  { name: SQUID + WIDE, way: "squid", isWide: true },
  { name: WIDE_FETCH, way: "fetch", isWide: true },
  { name: `Holdfast, relay URL${WIDE}`, way: "url", isWide: true },
  { name: `Holdfast, proxy door${WIDE}`, way: "proxy", isWide: true },
];

/** What shows how much hangs on whether a window more is needed. */
const NEXT_TO_A_ROUND: ReadonlySet<string> = new Set([DIRECT, SQUID, FETCH, WIDE_FETCH]);

/** A small answer fits into any window. */
export function sidesFor(size: AnswerSize): readonly Side[] {
  const all = [...SIDES, ...WIDE_SIDES];
  if (size === "1 kB") return SIDES;
  return size === "100,000 B" ? all.filter(({ name }) => NEXT_TO_A_ROUND.has(name)) : all;
}
