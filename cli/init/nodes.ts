import type { JWK } from "jose";
import type { Answers, NodeAnswer } from "./answers.ts";
import { publicHalf } from "./keys.ts";
import { CERTIFICATES, HOST_STATE, metricsPortOf } from "./layout.ts";
import { nodeProxy, proxyPorts } from "./proxy.ts";

/** Since when each address is published: `YYYY-MM-DD` by node and address. It is told once and kept. */
export type Since = Readonly<Record<string, string>>;

/** The edge's variable NODES. */
export function nodesOf(
  { nodes }: Answers,
  keys: ReadonlyMap<string, JWK>,
  since: Since,
): Readonly<Record<string, unknown>>[] {
  return nodes.map((node) => ({
    id: node.id,
    url: urlOf(node),
    ...(node.region !== undefined && { region: node.region }),
    key: publicHalf(keys.get(node.id)!),
    addresses: publishedOf(node, since),
  }));
}

/** The dates of every address that is published now: the known ones stay, a new one is published since today. */
export function sinceOf({ nodes }: Answers, known: Since, today: string): Since {
  return Object.fromEntries(
    nodes.flatMap((node) => [
      ...currentOf(node).map((entry) => {
        const name = nameOf(node, entry.public);
        // A planned address that is used earlier than planned is published since now.
        const day = known[name] ?? today;
        return [name, day < today ? day : today] as const;
      }),
      ...node.planned.map(({ address, since }) => [nameOf(node, address), since] as const),
    ]),
  );
}

/** A node's `node.json`. Key files stand beside it, so that their names hold wherever the folder is. */
export function nodeFile(
  node: NodeAnswer,
  answers: Answers,
  keys: ReadonlyMap<string, JWK>,
  grantKeyFiles: readonly string[],
): Readonly<Record<string, unknown>> {
  const { edge, nodes, certificates, settings, proxy } = answers;
  const { ipv4, ipv6 } = node;
  const host = node.listen ?? (ipv6 === undefined ? "0.0.0.0" : "::");
  const door = nodeProxy(node, answers, host);
  return {
    id: node.id,
    edge,
    listen: {
      host,
      port: node.port,
      ...(node.certificate ?? CERTIFICATES[certificates](node.host)),
    },
    ...(door !== undefined && { proxy: door }),
    metrics: {
      host: "127.0.0.1",
      port: metricsPortOf(node, proxy === undefined ? [] : proxyPorts(proxy)),
    },
    egress: {
      ...(ipv4 !== undefined && { ipv4: { bind: ipv4.bind, public: ipv4.public } }),
      ...(ipv6 !== undefined && { ipv6: { bind: ipv6.bind, public: ipv6.public } }),
    },
    peers: nodes
      .filter(({ id }) => id !== node.id)
      .map((peer) => ({
        id: peer.id,
        url: urlOf(peer),
        key: publicHalf(keys.get(peer.id)!),
        addresses: currentOf(peer).map((address) => address.public),
      })),
    signingKeyFile: "signing.jwk",
    state: node.state ?? `${HOST_STATE}/${node.id}`,
    grantKeyFiles,
    ...settings,
    ...node.settings,
  };
}

function publishedOf(node: NodeAnswer, since: Since): Readonly<Record<string, string | undefined>>[] {
  return [
    ...currentOf(node).map(({ public: address, until }) => ({
      address,
      since: since[nameOf(node, address)],
      until,
    })),
    ...node.planned.map(({ address, since: date }) => ({ address, since: date })),
  ];
}

function currentOf({ ipv4, ipv6 }: NodeAnswer) {
  return [ipv4, ipv6].filter((address) => address !== undefined);
}

function nameOf({ id }: NodeAnswer, address: string): string {
  return `${id} ${address}`;
}

function urlOf({ host, port }: NodeAnswer): string {
  return port === 443 ? `https://${host}` : `https://${host}:${port}`;
}
