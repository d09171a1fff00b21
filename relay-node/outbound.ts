import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { EgressState } from "./address-proof.ts";
import type { NodeConfig } from "./config.ts";
import { createDialer, type Dialer } from "./dialer.ts";
import { createGuard } from "./guard.ts";
import { DNS_TRIES, DNS_TRY_MS, OWN_ADDRESSES_MS } from "./limits.ts";
import { provenDialer } from "./proven-dialer.ts";
import { createResolver, type Resolver } from "./resolver.ts";
import { createSeedResolver, type SeedResolver } from "./seeds.ts";

/** Looks addresses up as a node is configured to. */
export function resolverOf(config: NodeConfig): Resolver {
  return createResolver({ ...queriesOf(config), ipv6: config.egress.ipv6 !== undefined });
}

/** The same for the hosts of `mongodb+srv` names. */
export function seedResolverOf(config: NodeConfig): SeedResolver {
  return createSeedResolver(queriesOf(config));
}

function queriesOf({ nameServers }: NodeConfig) {
  return {
    ...(nameServers !== undefined && { servers: [...nameServers] }),
    timeoutMs: DNS_TRY_MS,
    tries: DNS_TRIES,
  };
}

/** Dials as a node is configured to: from its own addresses, past its guard, while it may be left. */
export function dialerOf(config: NodeConfig, resolver: Resolver, address: EgressState): Dialer {
  const { egress, open, targetCa } = config;
  const published = [egress.ipv4, egress.ipv6].flatMap((pair) =>
    pair === undefined ? [] : [pair.bind, pair.public],
  );
  const guard = createGuard({ open, own: ownAddresses(published) });
  const dialer = createDialer({
    resolver,
    guard,
    mayLeave: (family) => address.mayLeave(family),
    egress: {
      ...(egress.ipv4 && { ipv4: egress.ipv4.bind }),
      ...(egress.ipv6 && { ipv6: egress.ipv6.bind }),
    },
    ...(targetCa !== undefined && { ca: [readFileSync(targetCa, "utf8")] }),
  });
  return provenDialer(dialer, address);
}

/** All addresses of the node, read anew each second: to ask the system takes 45 µs, however few they are, and a dial would three times. */
function ownAddresses(published: readonly string[]): () => readonly string[] {
  let known: readonly string[] = [];
  let readAt = -Infinity;
  return () => {
    const now = performance.now();
    if (now - readAt >= OWN_ADDRESSES_MS) {
      known = [...published, ...interfaceAddresses()];
      readAt = now;
    }
    return known;
  };
}

/** This host's addresses but the loopback ones, which are the guard's own business. */
function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
  );
}
