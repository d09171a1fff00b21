import { type ChildProcess, execFile, spawn, type SpawnOptions } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { NOT_ALLOWED } from "../support/namespaces.ts";
import { CONDUCTOR, HIDDEN_HOST, type Host, HOSTS, PORT } from "./hosts.ts";

/** Any host, on the wire or behind the NAT. */
export type AnyHost = Host | typeof HIDDEN_HOST.name;

const run = promisify(execFile);

/**
 *   client  edge  dns  target  egress-1  egress-2  nat ── egress-3
 *      └──────┴────┴──────┴───────┴─────────┴──────┘
 *                    one wire (a bridge)
 *
 * Hosts as network namespaces. All of it lives in the network, mount and process namespaces that `run.ts` made: nothing
 * leads out of them, and all of it vanishes with them.
 */
export class Network {
  /** @throws Error where the system lets no namespace be made */
  static async create(dir: string): Promise<Network> {
    try {
      return await Network.#make(dir);
    } catch (cause) {
      throw new Error(`${NOT_ALLOWED}: ${(cause as Error).message}`, { cause });
    }
  }

  static async #make(dir: string): Promise<Network> {
    await shell([
      "mount -t tmpfs tmpfs /run",
      "ip link set lo up",
      "ip link add wire type bridge",
      `ip addr add ${CONDUCTOR}/32 dev wire`,
      "ip link set wire up",
      "ip route add default dev wire",
    ]);
    const network = new Network();
    await network.#nameService(dir);
    for (const [host, address] of Object.entries(HOSTS)) {
      await shell([
        `ip netns add ${host}`,
        `ip link add ${port(host)} type veth peer name eth0 netns ${host}`,
        `ip link set ${port(host)} master wire up`,
      ]);
      await network.#inside(host as Host, [
        "ip link set lo up",
        `ip addr add ${address}/32 dev eth0`,
        "ip link set eth0 up",
        // Every address is on the wire itself: who has it answers for it.
        "ip route add default dev eth0",
      ]);
    }
    await network.#hide();
    // Translation is there from the start: a rule that comes later then changes new connections alone, as it would on a
    // router, instead of breaking what is open.
    for (const host of ["egress-1", "egress-2", "nat"] as const) {
      await network.#inside(host, [
        "nft add table ip nat",
        "nft 'add chain ip nat out { type nat hook postrouting priority srcnat; }'",
        "nft 'add chain ip nat in { type nat hook prerouting priority dstnat; }'",
      ]);
    }
    await network.#inside("nat", [
      `nft add rule ip nat in ip daddr ${HOSTS.nat} tcp dport ${PORT} dnat to ${HIDDEN_HOST.address}`,
    ]);
    await network.translate("nat", HIDDEN_HOST.address, HOSTS.nat);
    return network;
  }

  /** The command that runs another one on a host; the process is that other one's own. */
  on(host: AnyHost): string[] {
    return ["nsenter", `--net=/run/netns/${host}`];
  }

  /** Starts a process on a host. */
  spawn(host: AnyHost, command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const [entry, ...entryArgs] = this.on(host);
    return spawn(entry!, [...entryArgs, command, ...args], options);
  }

  /** Pulls a host's cable, or puts it back. */
  async link(host: Host, state: "up" | "down"): Promise<void> {
    await shell([`ip link set ${port(host)} ${state}`]);
  }

  /** Takes a host's address away and gives it another one. */
  async renumber(host: Host, from: string, to: string): Promise<void> {
    await this.#inside(host, [
      `ip addr del ${from}/32 dev eth0`,
      `ip addr add ${to}/32 dev eth0`,
      "ip route replace default dev eth0",
    ]);
  }

  /** Lets the world see new connections of `from` come from `to`. */
  async translate(host: "egress-1" | "egress-2" | "nat", from: string, to: string): Promise<void> {
    await this.#inside(host, [
      "nft flush chain ip nat out",
      // Answers find their way back: the host has the address, though no socket binds it.
      `ip addr replace ${to}/32 dev ${to === HOSTS[host] ? "eth0" : "lo"}`,
      `nft add rule ip nat out ip saddr ${from} snat to ${to}`,
    ]);
  }

  /** Lets the world see a host's connections as they are. */
  async translateNothing(host: "egress-1" | "egress-2"): Promise<void> {
    await this.#inside(host, ["nft flush chain ip nat out"]);
  }

  async #inside(host: AnyHost, commands: readonly string[]): Promise<void> {
    await shell(commands, this.on(host));
  }

  /** Every process asks the `dns` host, whatever this machine asks. */
  async #nameService(dir: string): Promise<void> {
    const file = join(dir, "resolv.conf");
    writeFileSync(file, `nameserver ${HOSTS.dns}\noptions timeout:1 attempts:3\n`, { mode: 0o644 });
    // On many systems it is a link into /run, which is empty here.
    await shell([
      "conf=$(readlink -m /etc/resolv.conf)",
      'mkdir -p "$(dirname "$conf")"',
      '{ [ -e "$conf" ] || touch "$conf"; }',
      `mount --bind '${file}' "$conf"`,
    ]);
  }

  /** The host behind the NAT. */
  async #hide(): Promise<void> {
    const { name, address, router } = HIDDEN_HOST;
    await shell([`ip netns add ${name}`, `ip -n nat link add eth1 type veth peer name eth0 netns ${name}`]);
    await this.#inside("nat", [
      `ip addr add ${router}/24 dev eth1`,
      "ip link set eth1 up",
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]);
    await this.#inside(name, [
      "ip link set lo up",
      `ip addr add ${address}/24 dev eth0`,
      "ip link set eth0 up",
      `ip route add default via ${router}`,
    ]);
  }
}

/** The wire's end of a host's cable. */
function port(host: string): string {
  return `to-${host}`;
}

async function shell(commands: readonly string[], by: readonly string[] = []): Promise<void> {
  const [command, ...args] = [...by, "sh", "-c", commands.join(" && ")];
  await run(command, args);
}
