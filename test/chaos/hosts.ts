import type { NodePlace } from "../support/supervised-node.ts";

/** The hosts of the fault suite: each a network namespace with an address of its own, all on one wire. */

/** Where every server listens. */
export const PORT = 443;

/** The address of each host on the wire; nobody but the namespace itself answers for it. */
export const HOSTS = {
  client: "192.0.2.100",
  edge: "192.0.2.10",
  dns: "192.0.2.53",
  target: "198.51.100.10",
  "egress-1": "203.0.113.10",
  "egress-2": "203.0.113.20",
  nat: "203.0.113.30",
} as const;

/** One that stands on the wire. */
export type Host = keyof typeof HOSTS;

/** One that stands behind `nat`, and is seen as that one's address. */
export const HIDDEN_HOST = { name: "egress-3", address: "10.77.0.2", router: "10.77.0.1" } as const;

/** The suite's own address on the wire: it registers clients and looks at what is in service. */
export const CONDUCTOR = "192.0.2.1";

/** An address that nobody lists: what a host is given by mistake. */
export const UNLISTED = "203.0.113.99";

/** Names that the name server tells. */
export const NAMES: Readonly<Record<string, string>> = {
  "edge.test": HOSTS.edge,
  "bank.test": HOSTS.target,
  "node-1.test": HOSTS["egress-1"],
  "node-2.test": HOSTS["egress-2"],
  "node-3.test": HOSTS.nat,
};

/** The pool that is put under load. */
export const POOL: readonly NodePlace<Host>[] = [
  { id: "node-1", host: "egress-1", bind: HOSTS["egress-1"], public: HOSTS["egress-1"] },
  { id: "node-2", host: "egress-2", bind: HOSTS["egress-2"], public: HOSTS["egress-2"] },
];

/** A node behind a NAT, with a client of its own. */
export const HIDDEN_NODE: NodePlace<typeof HIDDEN_HOST.name> = {
  id: "node-3",
  host: HIDDEN_HOST.name,
  bind: HIDDEN_HOST.address,
  public: HOSTS.nat,
};

/** What targets may see: the published list. */
export const PUBLISHED: ReadonlySet<string> = new Set([...POOL, HIDDEN_NODE].map((node) => node.public));

export const EDGE_ORIGIN = "https://edge.test";
export const TARGET_ORIGIN = "https://bank.test";
