import { isFieldName } from "../../protocol/headers.ts";

/** Where something that an event is known by, or that tells its lane, stands in a call. */
export type KeyRule =
  | { readonly from: "none" }
  /** One for all. */
  | { readonly from: "all" }
  /** The first of these fields that is there, behind the value of `scope` where one is named. */
  | { readonly from: "header"; readonly names: readonly string[]; readonly scope?: string }
  /** The reference tokens of a JSON pointer (RFC 6901). */
  | { readonly from: "json"; readonly pointer: readonly string[] };

/** The longest rule: the longest field name or pointer that anybody needs. */
export const KEY_RULE_MAX = 256;

/**
 * Reads `header:X-Event-Id` or `json:/data/id`; undefined where it is neither.
 * @example parseKeyRule("json:/data/0/a~1b") // { from: "json", pointer: ["data", "0", "a/b"] }
 */
export function parseKeyRule(text: string): KeyRule | undefined {
  if (text.length > KEY_RULE_MAX) return undefined;
  const [, from, rest] = /^(header|json):(.+)$/s.exec(text) ?? [];
  if (from === "header") return isFieldName(rest!) ? { from, names: [rest!.toLowerCase()] } : undefined;
  if (from !== "json" || !/^(?:\/(?:[^~]|~[01])*)+$/s.test(rest!)) return undefined;
  const pointer = rest!
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  return { from, pointer };
}
