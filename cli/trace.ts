import { type Fetch, type Field, type RelayInfo } from "../client/index.ts";
import { sectionFromWire } from "../protocol/envelope.ts";

/** Fields whose values are credentials, or may well be. */
const SECRET =
  /^(authorization|proxy-authorization|cookie|set-cookie)$|token|secret|password|api-?key|signature|session|credential/i;

/** A field as it may be shown to whoever looks on: a secret's length, and nothing of it. */
export function shownField([name, value]: Field): string {
  return SECRET.test(name) ? `${name}: [${value.length} bytes]` : `${name}: ${value}`;
}

/** A fetch that tells the end-to-end fields of every call before it is sent, as the envelope carries them. */
export function tracedFetch(tell: (fields: readonly Field[]) => void): Fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers);
    tell(sectionFromWire((name) => headers.get(name)));
    return globalThis.fetch(input, init);
  };
}

/** Where a response came from and what took how long, as lines. `total` is in milliseconds. */
export function infoLines(info: RelayInfo | undefined, total: number): string[] {
  const rows = [...Object.entries(info?.timing ?? {}), ["total", total] as const];
  const width = Math.max(...rows.map(([stage]) => stage.length));
  return [
    `node ${info?.node ?? "not told"}, egress ${info?.egress ?? "not told"}, request ${info?.requestId ?? "not told"}`,
    ...rows.map(([stage, ms]) => `${stage.padEnd(width)} ${ms.toFixed(1).padStart(9)} ms`),
  ];
}
