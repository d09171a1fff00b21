import { type ChildProcess, execFile, spawn, type SpawnOptions } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { NOT_ALLOWED } from "./namespaces.ts";

/** The hosts on one wire. */
export interface WirePlan<Host extends string> {
  /** Each host's address, which nobody else answers for. */
  readonly hosts: Readonly<Record<Host, string>>;
  /** The address of whoever made the wire. */
  readonly own: string;
  /** The name server that every process asks. */
  readonly nameServer: string;
}

/**
 *   host  host  host
 *    └──────┴─────┘
 *     one wire (a bridge)
 *
 * Hosts as network namespaces. All of it lives in the network, mount and process namespaces that `enterNamespaces` made:
 * nothing leads out of them, and all of it vanishes with them.
 */
export class Wire<Host extends string> {
  readonly #plan: WirePlan<Host>;

  /** A wire that stands already. */
  constructor(plan: WirePlan<Host>) {
    this.#plan = plan;
  }

  /**
   * Makes the wire and its hosts.
   * @param dir a folder that stays for as long as the wire
   * @throws Error where the system lets no namespace be made
   */
  async make(dir: string): Promise<void> {
    try {
      await this.#make(dir);
    } catch (cause) {
      throw new Error(`${NOT_ALLOWED}: ${(cause as Error).message}`, { cause });
    }
  }

  async #make(dir: string): Promise<void> {
    await shell([
      "mount -t tmpfs tmpfs /run",
      "ip link set lo up",
      "ip link add wire type bridge",
      `ip addr add ${this.#plan.own}/32 dev wire`,
      "ip link set wire up",
      "ip route add default dev wire",
    ]);
    await this.#nameService(dir);
    for (const [host, address] of Object.entries<string>(this.#plan.hosts)) {
      await shell([
        `ip netns add ${host}`,
        `ip link add ${port(host)} type veth peer name eth0 netns ${host}`,
        `ip link set ${port(host)} master wire up`,
      ]);
      await this.inside(host as Host, [
        "ip link set lo up",
        `ip addr add ${address}/32 dev eth0`,
        "ip link set eth0 up",
        // Every address is on the wire itself: who has it answers for it.
        "ip route add default dev eth0",
      ]);
    }
  }

  /** The command that runs another one on a host; the process is that other one's own. */
  on(host: Host): string[] {
    return ["nsenter", `--net=/run/netns/${host}`];
  }

  /** Starts a process on a host. */
  spawn(host: Host, command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const [entry, ...entryArgs] = this.on(host);
    return spawn(entry!, [...entryArgs, command, ...args], options);
  }

  /** Runs shell commands on a host. */
  async inside(host: Host, commands: readonly string[]): Promise<string> {
    return shell(commands, this.on(host));
  }

  /** Pulls a host's cable, or puts it back. */
  async link(host: Host, state: "up" | "down"): Promise<void> {
    await shell([`ip link set ${port(host)} ${state}`]);
  }

  /** Takes a host's address away and gives it another one. */
  async renumber(host: Host, from: string, to: string): Promise<void> {
    await this.inside(host, [
      `ip addr del ${from}/32 dev eth0`,
      `ip addr add ${to}/32 dev eth0`,
      "ip route replace default dev eth0",
    ]);
  }

  /** Every process asks the plan's name server, whatever this machine asks. */
  async #nameService(dir: string): Promise<void> {
    const file = join(dir, "resolv.conf");
    writeFileSync(file, `nameserver ${this.#plan.nameServer}\noptions timeout:1 attempts:3\n`, {
      mode: 0o644,
    });
    // On many systems it is a link into /run, which is empty here.
    await shell([
      "conf=$(readlink -m /etc/resolv.conf)",
      'mkdir -p "$(dirname "$conf")"',
      '{ [ -e "$conf" ] || touch "$conf"; }',
      `mount --bind '${file}' "$conf"`,
    ]);
  }
}

/** The wire's end of a host's cable. */
function port(host: string): string {
  return `to-${host}`;
}

/** Runs shell commands, by another command where one is named; resolves with what they wrote. */
export async function shell(commands: readonly string[], by: readonly string[] = []): Promise<string> {
  const [command, ...args] = [...by, "sh", "-c", commands.join(" && ")];
  return (await promisify(execFile)(command, args)).stdout;
}
