import { moment, table } from "./table.ts";

/** One change of the registry, as the edge tells it. */
export interface AuditEntry {
  readonly seq: number;
  /** Seconds since 1970. */
  readonly at: number;
  /** The operator's key, by its id; `(edge)` where the edge had a reason of its own. */
  readonly by: string;
  /** As in `client.update`. */
  readonly action: string;
  readonly client: string;
  /** The client's id, a handle's, a token's `jti`, a route's id, or whose deliveries. */
  readonly subject: string;
  /** The record's version behind the change. */
  readonly version: number | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Changes as people read them, one a line. */
export function auditText(entries: readonly AuditEntry[]): string {
  return table(
    entries.map(({ at, by, action, client, subject, version, detail }) => [
      moment(at),
      by,
      action,
      [...new Set([client, subject])].filter((part) => part !== "").join(" "),
      version === null ? "-" : `version ${version}`,
      Object.entries(detail)
        .map(([name, value]) => `${name} ${changeText(value)}`)
        .join("; "),
    ]),
  );
}

/** A member as it was or is. The edge says null for one that wasn't there. */
function valueText(value: unknown): string {
  return value === null ? "none" : JSON.stringify(value);
}

/** What was added and removed by `+` and `-`, what changed by an arrow, the rest as JSON. */
function changeText(value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return JSON.stringify(value);
  const {
    added = [],
    removed = [],
    before,
    after,
    ...rest
  } = value as {
    readonly added?: readonly string[];
    readonly removed?: readonly string[];
    readonly before?: unknown;
    readonly after?: unknown;
  };
  return [
    ...added.map((entry) => `+${entry}`),
    ...removed.map((entry) => `-${entry}`),
    ...("before" in value ? [`${valueText(before)} → ${valueText(after)}`] : []),
    ...Object.entries(rest).map(([name, one]) => `${name} ${JSON.stringify(one)}`),
  ].join(" ");
}
