import { readFileSync } from "node:fs";
import type { LookupFunction } from "node:net";
import { networkInterfaces } from "node:os";
import type { EgressState } from "./address-proof.ts";
import type { NodeConfig } from "./config.ts";
import { createDialer, type Dialer } from "./dialer.ts";
import { createGuard } from "./guard.ts";
import { DNS_TRIES, DNS_TRY_MS } from "./limits.ts";
import { provenDialer } from "./proven-dialer.ts";
import { createResolver, type Resolver } from "./resolver.ts";
import { createSeedResolver, type SeedResolver } from "./seeds.ts";

/** Looks addresses up as a node is configured to. */
export function resolverOf(config: NodeConfig): Resolver {
  return createResolver({ ...queriesOf(config), ipv6: config.egress.ipv6 !== undefined });
}

/** The same for connections of undici's. */
export function lookupBy(resolver: Resolver): LookupFunction {
  return (host, { all }, done) => {
    resolver.resolve(host).then(
      ({ addresses: [...addresses] }) => {
        if (all === true) done(null, addresses);
        else done(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error: unknown) => done(error as Error, []),
    );
  };
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
  const guard = createGuard({ open, own: () => [...published, ...interfaceAddresses()] });
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

/** This host's addresses but the loopback ones, which are the guard's own business. */
function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
  );
}
