/** The hosts of a run: each a network namespace, the relay's being that of the run itself. */

/** What stands where; `edge`, `node` and `proxy` are addresses of the one host of the relay. */
export const ADDRESSES = {
  client: "192.0.2.100",
  edge: "203.0.113.10",
  node: "203.0.113.20",
  proxy: "203.0.113.30",
  target: "198.51.100.10",
} as const;

/** The namespaces; the relay's host stands between the others. */
export type Host = "client" | "relay" | "target";

/** Names that all of them know. */
export const NAMES: Readonly<Record<string, string>> = {
  "edge.test": ADDRESSES.edge,
  "node-1.test": ADDRESSES.node,
  "bank.test": ADDRESSES.target,
};

export const PORTS = { https: 443, proxyDoor: 9443, squid: 3128 } as const;

export const EDGE_ORIGIN = "https://edge.test";
export const TARGET_ORIGIN = "https://bank.test";
export const PROXY_DOOR = `https://node-1.test:${PORTS.proxyDoor}`;
