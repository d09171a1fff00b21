import { parseHosts } from "../../../client/hosts.ts";
import type { Opener } from "../../../client/node/opener.ts";

/** What goes by the relay; all the rest goes direct. */
export interface Routes {
  readonly relay: Opener;
  readonly direct: Opener;
  /** Exact hosts, or `*.suffix`: every port of theirs. */
  readonly hosts: readonly string[];
  readonly destinations: readonly { readonly host: string; readonly port: number }[];
}

/**
 * Opens each connection where it belongs.
 * @throws RelayError `request_invalid`, quoting an entry of `hosts`
 */
export function createRouter({ relay, direct, hosts, destinations }: Routes): Opener {
  const isNamed = parseHosts(hosts);
  return (target) => {
    const byRelay =
      isNamed(target.host) ||
      destinations.some(({ host, port }) => host === target.host && port === target.port);
    return byRelay ? relay(target) : direct(target);
  };
}
