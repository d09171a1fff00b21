import type { NodePlace } from "../../support/supervised-node.ts";
import { Wire, type WirePlan } from "../../support/wire.ts";

/** The hosts of the proxy door's tests: each a network namespace with an address of its own, all on one wire. */

/** Where the edge and the nodes listen for each other. */
export const PORT = 443;

/** Where a node's proxy door listens. */
export const PROXY_PORTS = { https: 9443, http: 9293, socks5: 1080 } as const;

/** Where a node tells its metrics, on its host's loopback alone. */
export const METRICS_PORT = 9464;

/** The address of each host. */
export const HOSTS = {
  client: "192.0.2.100",
  edge: "192.0.2.10",
  dns: "192.0.2.53",
  target: "198.51.100.20",
  "egress-1": "203.0.113.10",
  "egress-2": "203.0.113.20",
} as const;

export type Host = keyof typeof HOSTS;

/** More addresses of the client's host, for what one address alone may not do. */
export const OTHER_CLIENTS = Array.from({ length: 8 }, (_, index) => `192.0.2.${110 + index}`);

/** The tests' own address on the wire. */
const OWN = "192.0.2.1";

const PLAN: WirePlan<Host> = { hosts: HOSTS, own: OWN, nameServer: HOSTS.dns };

/** The wire that `setup.ts` made. */
export const WIRE = new Wire(PLAN);

/** The pool. */
export const POOL: readonly NodePlace<Host>[] = (["egress-1", "egress-2"] as const).map((host, index) => ({
  id: `node-${index + 1}`,
  host,
  bind: HOSTS[host],
  public: HOSTS[host],
}));

/** The addresses that the target's host admits. */
export const EGRESS: readonly string[] = POOL.map((node) => node.public);

/** The name that users are given: it has the addresses of both nodes. */
export const PROXY_NAME = "proxy.example.test";

/** Each node's own. */
export const PROXY_NAMES = ["one.proxy.example.test", "two.proxy.example.test"] as const;

/** Names of the one host `target`, each with HTTPS on port 443 and HTTP on port 80. */
export const TARGETS = {
  /** HTTPS by tunnels, HTTP in the absolute form. */
  api: "api.example.test",
  /** HTTP by tunnels, too: some clients know nothing else. */
  plain: "plain.example.test",
  /** HTTP below `/open/` alone. */
  limited: "limited.example.test",
  /** Nothing that the client may reach. */
  other: "other.example.test",
} as const;

/** Nobody listens here, at a name that the client may reach. */
export const DEAD_PORT = 4444;

/** The names of the relay's own parts. */
export const RELAY_NAMES: Readonly<Record<string, string | readonly string[]>> = {
  "edge.test": HOSTS.edge,
  "node-1.test": HOSTS["egress-1"],
  "node-2.test": HOSTS["egress-2"],
  [PROXY_NAME]: EGRESS,
  [PROXY_NAMES[0]]: HOSTS["egress-1"],
  [PROXY_NAMES[1]]: HOSTS["egress-2"],
};

/** All that the name server tells: names of targets too, so that whoever goes round the door finds them. */
export const NAMES: Readonly<Record<string, string | readonly string[]>> = {
  ...RELAY_NAMES,
  ...Object.fromEntries(Object.values(TARGETS).map((name) => [name, HOSTS.target])),
};

export const EDGE_ORIGIN = "https://edge.test";
