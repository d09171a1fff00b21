import { base64url } from "jose";
import { DELIVERY_NAME_MAX } from "../../protocol/limits.ts";
import type { CallHead } from "./check.ts";
import type { KeyRule } from "./key-rule.ts";
import type { Route } from "./route.ts";

/** What an event is known by, and the lane in which it waits. */
export interface EventKeys {
  readonly dedupe: string | null;
  readonly lane: string | null;
}

/** Whether an event's keys stand in its body. */
export function areInBody({ dedupe, order }: Pick<Route, "dedupe" | "order">): boolean {
  return dedupe.from === "json" || order.from === "json";
}

/**
 * Reads the keys of an event. One that has none is not refused for it, since it would be lost: without an id it is stored each
 * time that it comes, and without a lane it waits for nobody.
 *
 * @param body where `areInBody` says that it is needed
 */
export async function keysOf(
  { dedupe, order }: Pick<Route, "dedupe" | "order">,
  { headers }: Pick<CallHead, "headers">,
  body: Uint8Array | undefined,
): Promise<EventKeys> {
  const text = dedupe.from === "json" || order.from === "json" ? textOf(body) : undefined;
  const keyBy = async (rule: KeyRule) => {
    const value = valueBy(rule, headers, text);
    return value === undefined || value === "" ? null : keyFor(value);
  };
  return { dedupe: await keyBy(dedupe), lane: await keyBy(order) };
}

function valueBy(rule: KeyRule, headers: CallHead["headers"], text: string | undefined): string | undefined {
  switch (rule.from) {
    case "none":
      return undefined;
    case "all":
      return "all";
    case "header": {
      const value = rule.names.map((name) => headers.get(name)).find((one) => one !== null && one !== "");
      const scope = rule.scope === undefined ? null : headers.get(rule.scope);
      return value === undefined || value === null || scope === null
        ? (value ?? undefined)
        : `${scope} ${value}`;
    }
    case "json":
      return text === undefined ? undefined : memberOf(text, rule.pointer);
  }
}

/** Bytes that are no UTF-8 would be read as one and the same character: two ids could become one. */
function textOf(body: Uint8Array | undefined): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body);
  } catch {
    return undefined;
  }
}

/** A text or number at a pointer (RFC 6901) of a JSON text; undefined where there is none. */
function memberOf(json: string, pointer: readonly string[]): string | undefined {
  const value = valueAt(json, pointer);
  if (typeof value === "string") return value;
  if (typeof value !== "number") return undefined;
  // A number beyond what JavaScript counts exactly is another's, too, once it is read.
  return Number.isSafeInteger(value) ? String(value) : (valueAt(json, pointer, exactly) as string);
}

function valueAt(json: string, pointer: readonly string[], reviver?: typeof exactly): unknown {
  let at: unknown;
  try {
    at = JSON.parse(json, reviver);
  } catch {
    return undefined;
  }
  for (const token of pointer) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, token)) return undefined;
    if (Array.isArray(at) && !/^(?:0|[1-9]\d*)$/.test(token)) return undefined;
    at = (at as Record<string, unknown>)[token];
  }
  return at;
}

/** Takes a number as it is written. */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === "number" ? (context?.source ?? value) : value;
}

/** What is too long to be kept, or can't be shown as it is, is kept as its hash. */
async function keyFor(value: string): Promise<string> {
  if (value.length <= DELIVERY_NAME_MAX && value.isWellFormed() && !/\p{Cc}/u.test(value)) return value;
  // As JSON half a surrogate pair has a form of its own, which UTF-8 has not.
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return `sha256:${base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)))}`;
}
