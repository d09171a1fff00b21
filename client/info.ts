import { WIRE } from "../protocol/headers.ts";
import type { Field } from "../protocol/headers.ts";
import { type QuotaStanding, readQuotaField } from "../protocol/quota.ts";
import type { ReceiptClaims } from "../protocol/receipts.ts";

/** How a response came to be: what the relay says about it, beside what the target sent. */
export interface RelayInfo {
  /** The node that made the call. */
  readonly node: string | undefined;
  /** The address that the target saw. */
  readonly egress: string | undefined;
  /** Milliseconds by stage, in the order in which the relay lists them. */
  readonly timing: Readonly<Record<string, number>>;
  /** Whether the node's connection to the target had served before; undefined where the relay doesn't tell. */
  readonly warm: boolean | undefined;
  /** The node's signed word on the call, verified; undefined where none was asked for. */
  readonly receipt: ReceiptClaims | undefined;
  /** How the client's month stands where it is over a soft limit of its quota; empty otherwise. */
  readonly quota: readonly QuotaStanding[];
  /** The request's id, under which edge and node log it. */
  readonly requestId: string | undefined;
  /** The target's fields in their own case, order and repeats, which Headers does not keep. */
  readonly fields: readonly Field[];
}

const infos = new WeakMap<Response, RelayInfo>();

/**
 * What the relay says about a response, or undefined where the response did not come through it.
 *
 * @example
 * const response = await relay.fetch("https://api.bank.com/v1/balance");
 * relayInfo(response)?.egress // "203.0.113.7"
 */
export function relayInfo(response: Response): RelayInfo | undefined {
  return infos.get(response);
}

/** Remembers a response's info for as long as the response lives. */
export function setRelayInfo(response: Response, info: RelayInfo): void {
  infos.set(response, info);
}

/** Reads what the relay said from the wire fields of an answer; the receipt has been verified. */
export function readInfo(
  wire: Headers,
  fields: readonly Field[],
  receipt: ReceiptClaims | undefined,
): RelayInfo {
  const timing = wire.get(WIRE.timing) ?? "";
  return {
    node: wire.get(WIRE.node) ?? undefined,
    egress: receipt?.egress ?? wire.get(WIRE.egress) ?? undefined,
    timing: parseTiming(timing),
    warm: parseWarm(timing),
    receipt,
    quota: readQuotaField(wire.get(WIRE.quota) ?? ""),
    requestId: wire.get(WIRE.requestId) ?? undefined,
    fields,
  };
}

/**
 * Reads Relay-Timing, which has Server-Timing's syntax. What can't be read is left out: timings never fail a response.
 * @example parseTiming("edge;dur=1.2, dns;dur=0.4") // { edge: 1.2, dns: 0.4 }
 */
export function parseTiming(text: string): Record<string, number> {
  const timing: Record<string, number> = {};
  for (const metric of text.split(",")) {
    const match = /^\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*;\s*dur=([0-9]+(?:\.[0-9]+)?)\s*$/.exec(metric);
    if (match !== null && match[1] !== "__proto__") timing[match[1]!] = Number(match[2]);
  }
  return timing;
}

/** Reads from Relay-Timing what the connection to the target was. */
function parseWarm(text: string): boolean | undefined {
  const described = /(?:^|,)\s*connection\s*;\s*desc="?(warm|new)"?\s*(?:,|$)/.exec(text)?.[1];
  return described === undefined ? undefined : described === "warm";
}
