import type { NodePlace } from "../../support/supervised-node.ts";
import { Wire, type WirePlan } from "../../support/wire.ts";

/** The hosts of the tunnel's tests: each a network namespace with an address of its own, all on one wire. */

/** Where the relay's own parts listen. */
export const PORT = 443;

/** The address of each host. */
export const HOSTS = {
  client: "192.0.2.100",
  edge: "192.0.2.10",
  dns: "192.0.2.53",
  db: "198.51.100.20",
  "egress-1": "203.0.113.10",
  "egress-2": "203.0.113.20",
} as const;

export type Host = keyof typeof HOSTS;

/** What the client's host is given when it changes its network. */
export const OTHER_CLIENT = "192.0.2.101";

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

/** The addresses that the database host admits. */
export const EGRESS: readonly string[] = POOL.map((node) => node.public);

/** Each server's own name, on the one host `db`. */
export const SERVERS = {
  postgres: { name: "db.example.test", port: 5432 },
  /** PostgreSQL again, by a name that its certificate does not hold. */
  misnamed: { name: "misnamed.example.test", port: 5432 },
  mariadb: { name: "mysql.example.test", port: 3306 },
  redis: { name: "redis.example.test", port: 6380 },
  sftp: { name: "files.example.test", port: 22 },
  http: { name: "plain.example.test", port: 8080 },
  peer: { name: "bulk.example.test", port: 9000 },
  witness: { name: "witness.example.test", port: 9443 },
} as const;

export type Server = keyof typeof SERVERS;

/** `host:port` of a server. */
export function authority(server: Server): string {
  return `${SERVERS[server].name}:${SERVERS[server].port}`;
}

/** The names of the relay's own parts. */
export const RELAY_NAMES: Readonly<Record<string, string>> = {
  "edge.test": HOSTS.edge,
  "node-1.test": HOSTS["egress-1"],
  "node-2.test": HOSTS["egress-2"],
};

/** All that the name server tells: names of servers too, so that whoever goes round the relay finds them. */
export const NAMES: Readonly<Record<string, string>> = {
  ...RELAY_NAMES,
  ...Object.fromEntries(Object.values(SERVERS).map(({ name }) => [name, HOSTS.db])),
};

export const EDGE_ORIGIN = "https://edge.test";
