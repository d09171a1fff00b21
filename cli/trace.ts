import type { Fetch, Field, ReceiptClaims, RelayInfo } from "../client/index.ts";
import { sectionFromWire } from "../protocol/envelope.ts";
import { WIRE } from "../protocol/headers.ts";

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
    // The client also asks for keys, and gives calls up.
    if (headers.has(WIRE.envelope)) tell(sectionFromWire((name) => headers.get(name)));
    return globalThis.fetch(input, init);
  };
}

/** Where a response came from and what took how long, as lines. `total` is in milliseconds. */
export function infoLines(info: RelayInfo | undefined, total: number): string[] {
  const warm = info?.warm;
  return [
    `node ${info?.node ?? "not told"}, egress ${info?.egress ?? "not told"}, request ${info?.requestId ?? "not told"}`,
    ...(info?.receipt === undefined ? [] : [receiptLine(info.receipt)]),
    ...(warm === undefined ? [] : [`${warm ? "warm" : "new"} connection to the target`]),
    ...timingLines({ ...info?.timing, total }),
  ];
}

/** Stages with their milliseconds, one below the other. */
export function timingLines(timing: Readonly<Record<string, number>>): string[] {
  const rows = Object.entries(timing);
  const width = Math.max(...rows.map(([stage]) => stage.length));
  return rows.map(([stage, ms]) => `${stage.padEnd(width)} ${ms.toFixed(1).padStart(9)} ms`);
}

function receiptLine(receipt: ReceiptClaims): string {
  const { iss, htm, target, dialed, egress, tls, status, bytes_up: up, bytes_down: down, iat } = receipt;
  const at = new Date(iat * 1_000).toISOString().replace(".000", "");
  const length = down === null ? "a length not known" : `${down} bytes`;
  return `receipt verified: ${iss} sent ${htm} to ${target} at ${dialed} from ${egress} by ${tls ?? "plain http"}, ${up} bytes; ${status} with ${length} came at ${at}`;
}
