import type { LookupFunction } from "node:net";
import type { Resolver } from "./resolver.ts";

/** Looks a name up for `net.connect` by a resolver of the node's: getaddrinfo would hold one of the process' few threads meanwhile. */
export function lookupBy(resolver: Resolver): LookupFunction {
  return (host, { all }, done) => {
    resolver.resolve(host).then(
      ({ addresses }) => {
        if (all === true) done(null, [...addresses]);
        else done(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error: unknown) => done(error as Error, ""),
    );
  };
}
