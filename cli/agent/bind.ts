import { once } from "node:events";
import type net from "node:net";
import { AgentError } from "./agent-error.ts";
import { authorityOf, type Destination } from "./destinations.ts";
import { LOOPBACK_ATTEMPTS } from "./limits.ts";
import { loopbackAddress } from "./loopback.ts";

/** A server that listens, for one destination. */
export interface Bound {
  readonly destination: Destination;
  readonly server: net.Server;
  readonly address: string;
  /** Another one than the destination's where that can't be had: no name leads there then. */
  readonly port: number;
}

/**
 * Binds a server for each destination. All ports of one host share an address; which one it is decides the first bind that
 * succeeds, so agents that run at once take different ones.
 *
 * Where 127.0.0.0/8 is not this machine's own as a whole (macOS), or a port below 1024 is not for this user, any free port
 * is taken.
 *
 * @throws AgentError where nothing can be bound; then nothing is left bound
 */
export async function bindAll(
  destinations: readonly Destination[],
  serve: (destination: Destination) => net.Server,
): Promise<Bound[]> {
  const bound: Bound[] = [];
  try {
    for (const group of Map.groupBy(
      destinations,
      ({ host, listen }) => listen?.address ?? `of ${host}`,
    ).values()) {
      bound.push(...(await bindGroup(group, serve)));
    }
    return bound;
  } catch (error) {
    await Promise.all(bound.map(({ server }) => closed(server)));
    throw error;
  }
}

/** Closes a server that has no connections. */
async function closed(server: net.Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}

async function bindGroup(
  group: readonly Destination[],
  serve: (destination: Destination) => net.Server,
): Promise<Bound[]> {
  const { host, listen } = group[0]!;
  if (listen?.address !== undefined) {
    const bound = await bindAt(group, listen.address, serve);
    if (bound !== undefined) return bound;
    throw new AgentError(
      group.length === 1
        ? `${listen.address}:${portOf(group[0]!)} is in use: choose another listen for ${host}`
        : `${listen.address} has one of the ports ${group.map(portOf).join(", ")} in use: choose another listen for ${host}`,
    );
  }
  for (let attempt = 0; attempt < LOOPBACK_ATTEMPTS; attempt++) {
    const bound = await bindAt(group, loopbackAddress(host, attempt), serve);
    if (bound !== undefined) return bound;
  }
  throw new AgentError(
    `none of ${LOOPBACK_ATTEMPTS} loopback addresses for ${host} has port ${group.map(portOf).join(", ")} free`,
  );
}

/** Binds all of them at one address, or none: undefined where a port is in use. */
async function bindAt(
  group: readonly Destination[],
  address: string,
  serve: (destination: Destination) => net.Server,
): Promise<Bound[] | undefined> {
  const bound: Bound[] = [];
  try {
    for (const destination of group) bound.push(await bindOne(destination, address, serve));
    return bound;
  } catch (error) {
    await Promise.all(bound.map(({ server }) => closed(server)));
    if (codeOf(error) === "EADDRINUSE") return undefined;
    const [first] = group;
    throw new AgentError(
      `can't listen at ${address} for ${authorityOf(first!)}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

async function bindOne(
  destination: Destination,
  address: string,
  serve: (destination: Destination) => net.Server,
): Promise<Bound> {
  const choices = [
    { host: address, port: portOf(destination) },
    { host: address, port: 0 },
    { host: "127.0.0.1", port: 0 },
  ];
  for (const [index, choice] of choices.entries()) {
    const server = serve(destination);
    try {
      server.listen({ ...choice, exclusive: true });
      await once(server, "listening");
      return { destination, server, address: choice.host, port: (server.address() as net.AddressInfo).port };
    } catch (error) {
      const code = codeOf(error);
      // A port that was asked for by name is not quietly another one.
      const isFixed = destination.listen?.port !== undefined || index === choices.length - 1;
      if (isFixed || (code !== "EACCES" && code !== "EADDRNOTAVAIL")) throw error;
    }
  }
  throw new Error("unreachable");
}

function portOf({ port, listen }: Destination): number {
  return listen?.port ?? port;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
