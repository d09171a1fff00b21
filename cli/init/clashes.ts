import type { ClientAnswer, NodeAnswer } from "./answers.ts";
import { metricsPortOf } from "./layout.ts";

/** What is right by itself but not together: a line for each problem. */
export function clashes(
  nodes: readonly NodeAnswer[],
  clients: readonly ClientAnswer[],
  nodeIds: readonly unknown[],
): string[] {
  return [
    ...twice(nodes.map(({ id }) => id)).map((id) => `nodes: two have the id ${id}`),
    ...twice(clients.map(({ id }) => id)).map((id) => `clients: two have the id ${id}`),
    ...pairs(nodes).flatMap(([one, other]) => portClashes(one, other)),
    ...nodes.flatMap((node) => ownClashes(node)),
    ...clients.flatMap(({ id, pool = [] }) =>
      pool
        .filter((name) => !nodeIds.includes(name))
        .map((name) => `client ${id}: its pool names ${name}, no node`),
    ),
  ];
}

/** Nodes of one host share its ports. What tells that hosts are one: a name, or an address that both call from. */
function portClashes(one: NodeAnswer, other: NodeAnswer): string[] {
  const names = `nodes ${one.id} and ${other.id}`;
  if (one.host === other.host && one.port === other.port) {
    return [`${names}: both are ${one.host}:${one.port}`];
  }
  const shared = publicOf(one).find((address) => publicOf(other).includes(address));
  if (one.host !== other.host && shared === undefined) return [];
  const host = shared ?? one.host;
  const taken = new Set([other.port, metricsPortOf(other)]);
  return [one.port, metricsPortOf(one)]
    .filter((port) => port !== 0 && taken.has(port))
    .map((port) => `${names}: both are on one host (${host}) and use port ${port}`);
}

function ownClashes(node: NodeAnswer): string[] {
  const current = publicOf(node);
  return [
    ...(metricsPortOf(node) === node.port
      ? [`node ${node.id}: metricsPort is its own port ${node.port}`]
      : []),
    ...node.planned
      .filter(({ address }) => current.includes(address))
      .map(({ address }) => `node ${node.id}: ${address} is planned and in use already`),
  ];
}

function publicOf({ ipv4, ipv6 }: NodeAnswer): string[] {
  return [ipv4, ipv6].flatMap((address) => (address === undefined ? [] : [address.public]));
}

function twice(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

function pairs<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((one, index) => items.slice(index + 1).map((other): [T, T] => [one, other]));
}
