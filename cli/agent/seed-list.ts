import type { SeedList } from "../../protocol/seed-list.ts";
import { type ConnectionUrl, withHosts } from "./connection-url.ts";

/** What the TXT record may say: MongoDB's Initial DNS Seedlist Discovery specification, "Default Connection String Options". */
const RECORD_OPTIONS = new Set(["authsource", "replicaset", "loadbalanced"]);

/** Options that speak of the search for hosts, which is done then. */
const SEARCH_OPTIONS = new Set(["srvmaxhosts", "srvservicename"]);

/**
 * Turns `mongodb+srv://user:pw@name/db?options` into the seed list form. The record's options are defaults that the URL's own
 * override; TLS is on unless the URL says otherwise; all else stays as it is written.
 *
 * @throws Error where the URL or the record asks for what can't be had
 */
export function seedListUrl(url: ConnectionUrl, { seeds, options }: SeedList): string {
  const [, path, query] = /^([^?]*)\??(.*)$/s.exec(url.rest) as unknown as [string, string, string];
  const own = split(query);
  if (own.some(([key, value]) => key === "srvservicename" && value !== "mongodb")) {
    throw new Error(
      "a mongodb+srv:// URL with srvServiceName can't be resolved by the relay: write its hosts",
    );
  }
  const most = Number(own.find(([key]) => key === "srvmaxhosts")?.[1] ?? 0);
  const record = split(options);
  for (const [key, , text] of record) {
    if (!RECORD_OPTIONS.has(key)) {
      throw new Error(`the TXT record sets ${text.split("=")[0]}, which it may not`);
    }
  }
  const named = new Set(own.map(([key]) => key));
  const isTlsSaid = named.has("tls") || named.has("ssl");
  const all = [
    ...own.filter(([key]) => !SEARCH_OPTIONS.has(key)),
    ...record.filter(([key]) => !named.has(key)),
  ].map(([, , text]) => text);
  if (!isTlsSaid) all.push("tls=true");
  const hosts = seeds.map(({ host, port }) => `${host}:${port}`);
  return withHosts(
    { ...url, head: "mongodb://" },
    most > 0 ? hosts.slice(0, most) : hosts,
    `${path === "" ? "/" : path}${all.length === 0 ? "" : `?${all.join("&")}`}`,
  );
}

/** Options with their names folded: MongoDB's are case-insensitive. */
function split(query: string): [key: string, value: string, text: string][] {
  return query
    .split("&")
    .filter((text) => text !== "")
    .map((text) => {
      const [key, ...value] = text.split("=");
      return [key!.toLowerCase(), value.join("="), text];
    });
}
