import { resolveService } from "../../client/resolve.ts";
import type { SeedList } from "../../protocol/seed-list.ts";
import { AgentError } from "./agent-error.ts";
import { destination, type Destination, hasName } from "./destinations.ts";
import { type Leads, rewriteVariable, variablesHolding } from "./env-rewrite.ts";
import { type Listeners, type Route, type RouteState, startListeners } from "./listeners.ts";
import type { NameMap } from "./name-map.ts";
import { isNameable, leadNames, routeLine } from "./names.ts";
import type { Opener } from "../../client/node/opener.ts";
import type { Settings } from "./settings.ts";

/** What the tunnel needs beside its settings. */
export interface TunnelOptions {
  readonly open: Opener;
  /** As HOLDFAST_URL holds it: for `mongodb+srv://` names. */
  readonly relayUrl: string | undefined;
  /** The environment that the child is to get. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gets a line for the log, without its line break. */
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Another hosts file: for tests. */
  readonly hostsFile?: string;
}

/** Destinations that are listened for, with their names leading there. */
export interface Tunnel {
  /** Over the child's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly kind: NameMap["kind"];
  readonly state: () => RouteState[];
  /** A line for each destination that the log has not told the place of, for people. */
  readonly lines: readonly string[];
  /** Resolves once no connection is open, or nothing moves in those that are. */
  readonly drained: () => Promise<void>;
  /** Takes the names back first, then resets what is open. */
  readonly close: () => Promise<void>;
}

/**
 * Starts all that a child needs to reach its destinations by their own names: listeners, names, rewritten variables. Ready when it
 * resolves; whatever was begun is undone when it rejects.
 *
 * @throws AgentError where this machine can't do it; RelayError where a `mongodb+srv://` name can't be resolved
 * @example
 * const tunnel = await startTunnel(settings, { open, relayUrl, env: process.env, log });
 * spawn(command, args, { env: { ...process.env, ...tunnel.env } });
 */
export async function startTunnel(settings: Settings, options: TunnelOptions): Promise<Tunnel> {
  const { open, env, log } = options;
  const services = await resolveAll(settings.services, options);
  const destinations = [...settings.destinations, ...seedsOf(services, settings.destinations)];
  refuseEdge(destinations, options.relayUrl);
  const listeners = await startListeners(destinations, open, { log });
  let names: NameMap | undefined;
  try {
    names = await leadNames(listeners.routes, {
      way: settings.names,
      env,
      note: log,
      ...(options.hostsFile !== undefined && { hostsFile: options.hostsFile }),
    });
    const { variables, told } = rewriteAll(settings, services, listeners, names.kind, options);
    return ready(listeners, names, { ...variables, ...names.env }, told);
  } catch (error) {
    await names?.close();
    await listeners.close();
    throw error;
  }
}

function ready(
  listeners: Listeners,
  names: NameMap,
  env: Record<string, string>,
  told: readonly Route[],
): Tunnel {
  const close = async () => {
    await names.close();
    await listeners.close();
  };
  return {
    env,
    kind: names.kind,
    state: listeners.state,
    drained: listeners.drained,
    lines: listeners.routes
      .filter((route) => !told.includes(route))
      .map((route) => routeLine(route, names.kind)),
    close,
  };
}

async function resolveAll(
  names: readonly string[],
  { relayUrl, signal }: TunnelOptions,
): Promise<Map<string, SeedList>> {
  const found = names.map(
    async (name) =>
      [name, await resolveService(relayUrl, name, signal === undefined ? {} : { signal })] as const,
  );
  return new Map(await Promise.all(found));
}

/** The agent finds the edge by the same names as everybody: led to itself, it would ask itself for ever. */
function refuseEdge(destinations: readonly Destination[], relayUrl: string | undefined): void {
  const edge = URL.parse(relayUrl ?? "")?.hostname;
  if (destinations.some(({ host, named }) => named && hasName(host) && host === edge)) {
    throw new AgentError(`${edge} is the relay's own edge: it can't be a destination`);
  }
}

/** Seeds that are no destinations in their own right. */
function seedsOf(services: ReadonlyMap<string, SeedList>, known: readonly Destination[]): Destination[] {
  const isKnown = (seed: { host: string; port: number }) =>
    known.some(({ host, port }) => host === seed.host && port === seed.port);
  const seeds = [...services.values()].flatMap((service) => service.seeds).filter((seed) => !isKnown(seed));
  const distinct = new Map(seeds.map((seed) => [`${seed.host}:${seed.port}`, seed]));
  return [...distinct.values()].map(({ host, port }) => destination(host, port));
}

/** Rewrites the variables that are named, where a name alone does not lead to its route; tells of those that are not named. */
function rewriteAll(
  settings: Settings,
  services: ReadonlyMap<string, SeedList>,
  { routes }: Listeners,
  kind: NameMap["kind"],
  { env, log }: TunnelOptions,
): { readonly variables: Record<string, string>; readonly told: readonly Route[] } {
  const strays = routes.filter((route) => route.destination.named && (kind === "env" || !isNameable(route)));
  const leads: Leads = {
    lead: (host, port) => findRoute(strays, host, port),
    service: (name) => services.get(name),
  };
  const rewritten: Record<string, string> = {};
  for (const name of settings.env) {
    let change: ReturnType<typeof rewriteVariable>;
    try {
      change = rewriteVariable(name, env, leads);
    } catch (cause) {
      throw new AgentError(`${name} can't be rewritten: ${(cause as Error).message}`, { cause });
    }
    if (change === undefined) continue;
    Object.assign(rewritten, change.env);
    if (change.hidesName) {
      log(
        `${name} names an address in its host's place now: a client that verifies names (verify-full) refuses it`,
      );
    }
  }
  const hosts = [...strays.map((route) => route.destination.host), ...services.keys()];
  const unnamed = variablesHolding(env, hosts).filter((name) => !settings.env.includes(name));
  if (unnamed.length > 0) {
    log(
      `a destination's host stays as it is in ${unnamed.join(", ")}: --env ${unnamed.join(",")} leads it here`,
    );
  } else if (strays.length > 0 && Object.keys(rewritten).length === 0) {
    const where = strays.map((route) => routeLine(route, "env")).join(", ");
    log(`no name leads to these: ${where}`);
    return { variables: rewritten, told: strays };
  }
  return { variables: rewritten, told: [] };
}

/** Without a port, the host's only route. */
function findRoute(routes: readonly Route[], host: string, port: number | undefined): Route | undefined {
  const mine = routes.filter((route) => route.destination.host === host);
  if (port !== undefined) return mine.find((route) => route.destination.port === port);
  const [first] = mine;
  // A value without a port can't be led to another one.
  return mine.every((route) => route.port === route.destination.port) ? first : undefined;
}
