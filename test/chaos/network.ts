import { NOT_ALLOWED } from "../support/namespaces.ts";
import { shell, Wire } from "../support/wire.ts";
import { CONDUCTOR, HIDDEN_HOST, type Host, HOSTS, PORT } from "./hosts.ts";

/** Any host, on the wire or behind the NAT. */
export type AnyHost = Host | typeof HIDDEN_HOST.name;

/**
 *   client  edge  dns  target  egress-1  egress-2  nat ── egress-3
 *      └──────┴────┴──────┴───────┴─────────┴──────┘
 *                    one wire (a bridge)
 */
export class Network extends Wire<AnyHost> {
  /** @throws Error where the system lets no namespace be made */
  static async create(dir: string): Promise<Network> {
    const network = new Network({
      // The hidden one stands not on the wire: it has no address there.
      hosts: HOSTS as Readonly<Record<AnyHost, string>>,
      own: CONDUCTOR,
      nameServer: HOSTS.dns,
    });
    await network.make(dir);
    try {
      await network.#behind();
    } catch (cause) {
      throw new Error(`${NOT_ALLOWED}: ${(cause as Error).message}`, { cause });
    }
    return network;
  }

  async #behind(): Promise<void> {
    await this.#hide();
    // Translation is there from the start: a rule that comes later then changes new connections alone, as it would on a
    // router, instead of breaking what is open.
    for (const host of ["egress-1", "egress-2", "nat"] as const) {
      await this.inside(host, [
        "nft add table ip nat",
        "nft 'add chain ip nat out { type nat hook postrouting priority srcnat; }'",
        "nft 'add chain ip nat in { type nat hook prerouting priority dstnat; }'",
      ]);
    }
    await this.inside("nat", [
      `nft add rule ip nat in ip daddr ${HOSTS.nat} tcp dport ${PORT} dnat to ${HIDDEN_HOST.address}`,
    ]);
    await this.translate("nat", HIDDEN_HOST.address, HOSTS.nat);
  }

  /** Lets the world see new connections of `from` come from `to`. */
  async translate(host: "egress-1" | "egress-2" | "nat", from: string, to: string): Promise<void> {
    await this.inside(host, [
      "nft flush chain ip nat out",
      // Answers find their way back: the host has the address, though no socket binds it.
      `ip addr replace ${to}/32 dev ${to === HOSTS[host] ? "eth0" : "lo"}`,
      `nft add rule ip nat out ip saddr ${from} snat to ${to}`,
    ]);
  }

  /** Lets the world see a host's connections as they are. */
  async translateNothing(host: "egress-1" | "egress-2"): Promise<void> {
    await this.inside(host, ["nft flush chain ip nat out"]);
  }

  /** The host behind the NAT. */
  async #hide(): Promise<void> {
    const { name, address, router } = HIDDEN_HOST;
    await shell([`ip netns add ${name}`, `ip -n nat link add eth1 type veth peer name eth0 netns ${name}`]);
    await this.inside("nat", [
      `ip addr add ${router}/24 dev eth1`,
      "ip link set eth1 up",
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]);
    await this.inside(name, [
      "ip link set lo up",
      `ip addr add ${address}/24 dev eth0`,
      "ip link set eth0 up",
      `ip route add default via ${router}`,
    ]);
  }
}
