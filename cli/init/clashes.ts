import type { ClientAnswer, NodeAnswer } from "./answers.ts";
import { metricsPortOf } from "./layout.ts";

/**
 * What is right by itself but not together: a line for each problem.
 * @param doorPorts of the proxy door
 */
export function clashes(
  nodes: readonly NodeAnswer[],
  clients: readonly ClientAnswer[],
  nodeIds: readonly unknown[],
  doorPorts: readonly number[],
): string[] {
  return [
    ...twice(nodes.map(({ id }) => id)).map((id) => `nodes: two have the id ${id}`),
    ...twice(clients.map(({ id }) => id)).map((id) => `clients: two have the id ${id}`),
    ...pairs(nodes).flatMap(([one, other]) => portClashes(one, other, doorPorts)),
    ...nodes.flatMap((node) => ownClashes(node, doorPorts)),
    ...(doorPorts.length > 0 && nodes.length > 0 && nodes.every(({ proxy }) => !proxy)
      ? ["proxy: no node opens it"]
      : []),
    ...clients.flatMap(({ id, pool = [] }) =>
      pool
        .filter((name) => !nodeIds.includes(name))
        .map((name) => `client ${id}: its pool names ${name}, no node`),
    ),
  ];
}

/** Nodes of one host share its ports. What tells that hosts are one: a name, or an address that both call from. */
function portClashes(one: NodeAnswer, other: NodeAnswer, doorPorts: readonly number[]): string[] {
  const names = `nodes ${one.id} and ${other.id}`;
  if (one.host === other.host && one.port === other.port) {
    return [`${names}: both are ${one.host}:${one.port}`];
  }
  const shared = publicOf(one).find((address) => publicOf(other).includes(address));
  if (one.host !== other.host && shared === undefined) return [];
  const host = shared ?? one.host;
  const taken = new Set(portsOf(other, doorPorts));
  return portsOf(one, doorPorts)
    .filter((port) => taken.has(port))
    .map((port) => {
      const mend = doorPorts.includes(port) ? ': give one of them "proxy": false' : "";
      return `${names}: both are on one host (${host}) and use port ${port}${mend}`;
    });
}

function ownClashes(node: NodeAnswer, doorPorts: readonly number[]): string[] {
  const current = publicOf(node);
  const metrics = metricsPortOf(node, doorPorts);
  const door = node.proxy ? doorPorts : [];
  return [
    ...(metrics === node.port ? [`node ${node.id}: metricsPort is its own port ${node.port}`] : []),
    ...(door.includes(metrics) ? [`node ${node.id}: metricsPort is the proxy's port ${metrics}`] : []),
    ...(door.includes(node.port) ? [`node ${node.id}: its port ${node.port} is the proxy's`] : []),
    ...node.planned
      .filter(({ address }) => current.includes(address))
      .map(({ address }) => `node ${node.id}: ${address} is planned and in use already`),
  ];
}

/** Every port that a node listens on. */
function portsOf(node: NodeAnswer, doorPorts: readonly number[]): number[] {
  const metrics = metricsPortOf(node, doorPorts);
  return [node.port, ...(metrics === 0 ? [] : [metrics]), ...(node.proxy ? doorPorts : [])];
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
