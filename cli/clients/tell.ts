import { algorithmOf } from "../../protocol/keys.ts";
import { limitsText } from "../records/edit.ts";
import { moment, table } from "../table.ts";
import type { Thumbprint, VersionedRecord } from "./record.ts";

/** Clients as people read them. */

/** One client a line. @param now seconds since 1970 */
export function listText(clients: readonly VersionedRecord[], now: number): string {
  const rows = clients.map(({ version, record }) => {
    const ended = record.keys.filter(({ exp = Infinity }) => exp <= now).length;
    const [first = "-", ...more] = record.allow;
    return [
      record.id,
      String(version),
      `${record.keys.length - ended}${ended > 0 ? ` (${ended} ended)` : ""}`,
      String(record.issuers?.length ?? 0),
      isReport(record) ? "ANY (report mode)" : more.length > 0 ? `${first} +${more.length}` : first,
      record.pool?.join(",") ?? "all",
      limitsText(record.limits),
      memberText(record["mode"] ?? "enforce"),
    ];
  });
  return table([["ID", "VERSION", "KEYS", "ISSUERS", "ALLOW", "POOL", "LIMITS", "MODE"], ...rows]);
}

const MEMBERS: ReadonlySet<string> = new Set(["id", "keys", "issuers", "allow", "pool", "limits"]);

/** What must not be overlooked. */
const REPORT = "REPORT: its list is not enforced, and it reaches every public address";

/** One client, member by member. @param now seconds since 1970 */
export function showText(
  { version, record }: VersionedRecord,
  thumbprintOf: Thumbprint,
  now: number,
): string {
  const keys = record.keys.map((jwk) => {
    const end = jwk.exp === undefined ? "" : `, ${jwk.exp <= now ? "ended" : "until"} ${moment(jwk.exp)}`;
    return ["key", `${thumbprintOf(jwk)}  ${algorithmOf(jwk) ?? jwk.kty}${end}`];
  });
  const others = Object.entries(record).filter(([name]) => !MEMBERS.has(name));
  return table([
    ["client", record.id],
    ["version", String(version)],
    ...keys,
    ...(record.issuers ?? []).map((issuer) => ["issuer", issuerText(issuer)]),
    ...record.allow.map((entry) => ["allow", entry]),
    ["pool", record.pool?.join(",") ?? "all"],
    ["limits", limitsText(record.limits)],
    ...others.map(([name, value]) => [
      name,
      name === "mode" && isReport(record) ? REPORT : memberText(value),
    ]),
  ]);
}

/** Whether the record's list refuses nothing. */
function isReport({ mode }: VersionedRecord["record"]): boolean {
  return mode === "report";
}

/** In the short form that the command line takes, where that can say it. */
function issuerText(rule: object): string {
  const {
    issuer,
    audience,
    claims = {},
  } = rule as {
    readonly issuer: string;
    readonly audience?: string;
    readonly claims?: Readonly<Record<string, string>>;
  };
  const named = Object.entries({ ...claims, ...(audience !== undefined && { audience }) });
  const isSayable =
    !("audience" in claims) &&
    !issuer.includes(",") &&
    named.every(([name, value]) => !/[,=]/.test(name) && !value.includes(","));
  return isSayable
    ? [issuer, ...named.map(([name, value]) => `${name}=${value}`)].join(",")
    : JSON.stringify(rule);
}

/** As it is to be given to `--set`. */
function memberText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
