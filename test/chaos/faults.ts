import { HOSTS, UNLISTED } from "./hosts.ts";
import type { AnyHost, Network } from "./network.ts";
import type { SupervisedNode } from "../support/supervised-node.ts";

/** What can happen to a node's host. */
export interface Fault {
  readonly name: string;
  /** Whether it lasts until it is healed; otherwise it is over at once, and what follows is the recovery. */
  readonly lasts: boolean;
  inject(): Promise<void> | void;
  /** Ends it; resolves when the node's process serves again. */
  heal(): Promise<void>;
}

/** Every kind of fault, for one node of the pool. */
export function faultsOf(node: SupervisedNode<AnyHost>, network: Network): readonly Fault[] {
  const host = node.place.host as "egress-1" | "egress-2";
  const own = HOSTS[host];
  return [
    {
      name: "kill -9",
      lasts: false,
      inject: () => node.end("SIGKILL"),
      heal: () => node.serving(),
    },
    {
      name: "SIGSTOP",
      lasts: true,
      inject: () => node.signal("SIGSTOP"),
      heal: async () => node.signal("SIGCONT"),
    },
    {
      name: "link cut",
      lasts: true,
      inject: () => network.link(host, "down"),
      heal: () => network.link(host, "up"),
    },
    {
      name: "drain",
      lasts: false,
      inject: () => node.end("SIGTERM"),
      heal: () => node.serving(),
    },
    {
      name: "restart",
      lasts: false,
      inject: () => node.end("SIGKILL", 0),
      heal: () => node.serving(),
    },
    {
      // The host is given another address while its node runs.
      name: "renumbered",
      lasts: true,
      inject: () => network.renumber(host, own, UNLISTED),
      heal: () => network.renumber(host, UNLISTED, own),
    },
    {
      // The node comes back behind a router that shows another address than the one it was told.
      name: "misplaced",
      lasts: true,
      inject: async () => {
        await node.remove("SIGKILL");
        await network.translate(host, own, UNLISTED);
        node.start();
      },
      heal: async () => {
        await network.translateNothing(host);
        await node.serving();
      },
    },
  ];
}
