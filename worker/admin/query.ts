import type { Context } from "hono";
import { RelayError } from "../../protocol/errors.ts";
import { DELIVERY_NAME_MAX } from "../../protocol/limits.ts";
import { ADMIN_PAGE_MAX } from "../limits.ts";

/** The longest value of a query: a lane's name. */
const VALUE_MAX = DELIVERY_NAME_MAX;

/**
 * The query of a call; `limit` is always known.
 * @param known the names of the others that this route takes
 * @throws RelayError `request_invalid`
 */
export function queryOf<Name extends string>(
  c: Context,
  ...known: readonly Name[]
): { readonly [name in Name]?: string } & { readonly limit: number } {
  const { limit = String(ADMIN_PAGE_MAX), ...query } = c.req.query();
  const problems = Object.entries(query).flatMap(([name, value]) => {
    if (!(known as readonly string[]).includes(name)) return [`${name} is not known here`];
    return value === "" || value.length > VALUE_MAX ? [`${name} must have 1 to ${VALUE_MAX} characters`] : [];
  });
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > ADMIN_PAGE_MAX) {
    problems.push(`limit must be a number from 1 to ${ADMIN_PAGE_MAX}`);
  }
  if (problems.length > 0) throw new RelayError("request_invalid", `in the query: ${problems.join("; ")}`);
  return { ...(query as { readonly [name in Name]?: string }), limit: Number(limit) };
}

/**
 * A page of a list that was asked for with one entry more than it is to hold.
 * @param idOf what the next page begins behind
 */
export function pageOf<T, Id>(
  found: readonly T[],
  limit: number,
  idOf: (entry: T) => Id,
): { readonly entries: readonly T[]; readonly next: Id | null } {
  const entries = found.slice(0, limit);
  return { entries, next: found.length > limit ? idOf(entries.at(-1)!) : null };
}
