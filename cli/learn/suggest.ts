import type { ObservedTarget } from "../../protocol/observed.ts";
import {
  type AllowedTarget,
  isAtOrigin,
  isTunnelAllowed,
  parseAllowedTarget,
} from "../../protocol/targets.ts";

/** What a period of use says about a client's list. All lists are of `allow` entries, in order. */
export interface Suggestion {
  /** What was used, and no more: no wildcard for hosts that weren't seen. */
  readonly allow: readonly string[];
  /** Of these, what the present list doesn't admit. */
  readonly added: readonly string[];
  /** Of the present list, what nothing that was seen needs. */
  readonly unused: readonly string[];
  /** Of the present list, what was used, and is wider than what was seen. */
  readonly narrowed: readonly string[];
}

/** Part of a suggestion: a place, and the methods seen there; undefined where none is seen. */
type Places = Map<string, Set<string> | undefined>;

/**
 * Makes a list of what was used.
 *
 * @param present the client's list
 * @param options `paths`: limit entries to the first parts of the paths that were seen, where all of them are known
 * @example suggestAllow(observed.entries, record.allow, { paths: false }).allow // ["GET,POST https://api.bank.com"]
 */
export function suggestAllow(
  observed: readonly ObservedTarget[],
  present: readonly string[],
  { paths }: { readonly paths: boolean },
): Suggestion {
  const places: Places = new Map();
  for (const one of observed) {
    const { method, target } = partsOf(one.entry);
    const isLimited = paths && one.paths.length > 0 && !one.more_paths;
    for (const path of isLimited ? one.paths : [""]) add(places, `${target}${path}`, method);
  }
  const suggested = entriesOf(places);
  const list = present.map((entry) => parseAllowedTarget(entry));
  const seen = observed.map((one) => ({ ...one, target: parseAllowedTarget(one.entry) }));
  const used = list.filter((entry) => seen.some((one) => isUsed(entry, one)));
  const allow = suggested.map(({ entry }) => entry);
  return {
    allow,
    added: suggested.filter((entry) => !isCovered(entry, list)).map(({ entry }) => entry),
    unused: sorted(list.filter((entry) => !used.includes(entry)).map(({ entry }) => entry)),
    narrowed: sorted(used.map(({ entry }) => entry).filter((entry) => !allow.includes(entry))),
  };
}

function partsOf(entry: string): { readonly method: string | undefined; readonly target: string } {
  const space = entry.indexOf(" ");
  return space === -1
    ? { method: undefined, target: entry }
    : { method: entry.slice(0, space), target: entry.slice(space + 1) };
}

function add(places: Places, target: string, method: string | undefined): void {
  const known = places.get(target);
  if (method === undefined || (places.has(target) && known === undefined)) places.set(target, undefined);
  else places.set(target, (known ?? new Set()).add(method));
}

/** The entries, without what a wider one of the same origin admits already. */
function entriesOf(places: Places): AllowedTarget[] {
  const all = [...places].map(([target, methods]) =>
    parseAllowedTarget(methods === undefined ? target : `${[...methods].toSorted().join(",")} ${target}`),
  );
  const kept = all.filter(
    (entry) =>
      entry.path === undefined ||
      !isCovered(
        entry,
        all.filter(({ path }) => path === undefined),
      ),
  );
  return kept.toSorted((one, other) => (orderOf(one.entry) < orderOf(other.entry) ? -1 : 1));
}

/** Entries of one place stand together, whatever their methods. */
function orderOf(entry: string): string {
  const { method = "", target } = partsOf(entry);
  return `${target} ${method}`;
}

function sorted(entries: readonly string[]): string[] {
  return entries.toSorted((one, other) => (orderOf(one) < orderOf(other) ? -1 : 1));
}

/** Whether a list admits all that an entry of one host does. */
function isCovered(entry: AllowedTarget, list: readonly AllowedTarget[]): boolean {
  const { scheme, host = "", port, path, methods } = entry;
  if (scheme === "tcp") return isTunnelAllowed(list, { host, port });
  const at = list.filter(
    (one) =>
      isAtOrigin(one, { scheme, host, port }) &&
      (one.path === undefined || (path !== undefined && isBelow(path, one.path))),
  );
  const admits = (method: string | undefined) =>
    at.some((one) => one.methods === undefined || (method !== undefined && one.methods.includes(method)));
  return methods === undefined ? admits(undefined) : methods.every((method) => admits(method));
}

/** Whether something that was seen may have needed an entry. Of paths that are not known nobody can say that they didn't. */
function isUsed(
  entry: AllowedTarget,
  { target, paths, more_paths }: ObservedTarget & { readonly target: AllowedTarget },
): boolean {
  const { scheme, host = "", port, methods } = target;
  if (scheme === "tcp") return isTunnelAllowed([entry], { host, port });
  if (!isAtOrigin(entry, { scheme, host, port })) return false;
  if (methods !== undefined && entry.methods?.includes(methods[0]!) === false) return false;
  const { path } = entry;
  if (path === undefined || more_paths || paths.length === 0) return true;
  return paths.some((one) => isBelow(one, path) || isBelow(path, one));
}

/** Whether all that one path of an entry admits is admitted by another. */
function isBelow(path: string, other: string): boolean {
  return other.endsWith("/*") ? path.startsWith(other.slice(0, -1)) : path === other;
}
