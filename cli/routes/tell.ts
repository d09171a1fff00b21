import type { DeliveryCounts, Pause } from "../../protocol/deliveries.ts";
import { countsLines, pauseText } from "../deliveries/tell.ts";
import { printable } from "../printable.ts";
import { limitsText } from "../records/edit.ts";
import type { Versioned } from "../records/registry.ts";
import { table } from "../table.ts";
import type { RouteForm, SecretForm, ToldRoute } from "./record.ts";

/** Routes as people read them. */

/** One route a line. */
export function listText(routes: readonly ToldRoute[]): string {
  const rows = routes.map(({ version, record, pause }) => [
    record.id,
    String(version),
    record.client,
    record.target,
    verifierText(record),
    record.order ?? "none",
    pause === null ? "-" : pauseText(pause),
  ]);
  return table([["ID", "VERSION", "CLIENT", "TARGET", "VERIFIER", "ORDER", "PAUSED"], ...rows]);
}

/** One route, member by member, and how its deliveries stand. @param url where providers call it */
export function showText(
  { version, record }: Versioned<RouteForm>,
  url: string,
  counts: DeliveryCounts & { readonly pause: Pause | null },
): string {
  const { type, secrets = [], ...members } = record.verifier;
  return table([
    ["route", record.id],
    ["version", String(version)],
    ["url", url],
    ["client", record.client],
    ["target", printable(record.target)],
    [
      "verifier",
      [type, ...Object.entries(members).map(([name, value]) => `${name}=${String(value)}`)].join(","),
    ],
    ...secretRows("secret", secrets),
    ["dedupe", record.dedupe ?? "default"],
    ["order", record.order ?? "none"],
    ["schedule", record.schedule?.join(",") ?? "default"],
    ...secretRows("sign", record.sign?.secrets ?? []),
    ["limits", limitsText(record.limits)],
    ["retention", limitsText(record.retention)],
    ["paused", counts.pause === null ? "-" : pauseText(counts.pause)],
    ...countsLines(counts),
  ]);
}

/** How many secrets it has, where it is not one. */
function verifierText({ verifier: { type, secrets = [] } }: RouteForm): string {
  return secrets.length > 1 ? `${type} (${secrets.length} secrets)` : type;
}

function secretRows(name: string, secrets: readonly SecretForm[]): string[][] {
  return secrets.map((secret, n) => [
    name,
    `${typeof secret === "string" ? "" : secret.print}${n > 0 ? " (old)" : ""}`,
  ]);
}
