import { RelayError } from "../protocol/errors.ts";
import { checkRequestFields } from "../protocol/envelope.ts";
import { type Field, isForbiddenRequestField } from "../protocol/headers.ts";
import { acceptEncoding } from "./decode.ts";

/**
 * The caller's fields as they were written: an array or a record keeps its case, order and repeats. A Headers object has
 * sorted, lowered and joined them already.
 *
 * @throws TypeError as `new Headers()` does for what is no list of pairs
 */
export function callerFields(init: RequestInit["headers"]): Field[] {
  if (init === undefined) return [];
  if (init === null || typeof init !== "object") {
    throw new TypeError("headers must be an object or a list of pairs");
  }
  const iterable = Symbol.iterator in init;
  const entries: Iterable<readonly unknown[]> = iterable
    ? (init as Iterable<readonly unknown[]>)
    : Object.entries(init);
  const fields: Field[] = [];
  for (const entry of entries) {
    const pair = [...entry];
    if (pair.length !== 2) throw new TypeError("each header must be a pair of a name and a value");
    fields.push([String(pair[0]), trim(String(pair[1]))]);
  }
  return fields;
}

/**
 * What goes to the target: the caller's fields, and those that a native fetch adds where the caller set none. Accept and
 * User-Agent always, Accept-Encoding with what can be decoded, Content-Type where the body has one.
 *
 * @throws RelayError `fields_invalid`
 */
export function relayedFields(
  caller: readonly Field[],
  { type, decompress }: { readonly type?: string | undefined; readonly decompress: boolean },
): Field[] {
  const fields = endToEnd(caller);
  const set = new Set(fields.map(([name]) => name.toLowerCase()));
  const added: Field[] = [];
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && !set.has(name)) added.push([name, value]);
  };
  add("accept", "*/*");
  add("user-agent", "holdfast");
  // A coded range can't be decoded by itself (Fetch standard, HTTP-network-or-cache fetch).
  add("accept-encoding", set.has("range") ? "identity" : decompress ? acceptEncoding() : undefined);
  add("content-type", type);
  const all = [...fields, ...added];
  checkRequestFields(all);
  return all;
}

/**
 * Framing and connection fields are dropped as fetch drops forbidden ones: SDKs for Node set Content-Length and Host.
 * Proxy-* and Relay-* carry a meaning that dropping would change unseen.
 */
function endToEnd(fields: readonly Field[]): Field[] {
  return fields.filter(([name]) => {
    const lower = name.toLowerCase();
    if (!isForbiddenRequestField(lower)) return true;
    if (lower.startsWith("proxy-") || lower.startsWith("relay-")) {
      throw new RelayError(
        "fields_invalid",
        `${lower.slice(0, 64)} can't be sent to a target through the relay`,
        {
          reached: "no",
        },
      );
    }
    return false;
  });
}

/** Fetch standard: a header value loses HTTP white space at its ends. */
function trim(value: string): string {
  return value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
}
