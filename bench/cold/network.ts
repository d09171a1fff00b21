import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { shell, Wire } from "../../test/support/wire.ts";
import { compile } from "../native.ts";
import { CORES, Process } from "../processes.ts";
import { ADDRESSES, type Host, NAMES } from "./hosts.ts";
import { LINE_MICROSECONDS } from "./limits.ts";

/** What operators set it by. */
const WINDOW_SCRIPT = resolve(import.meta.dirname, "../../deploy/initial-window.sh");

const OWN = "/proc/self/ns/net";

/** What connections go by that leave over a line: Linux's own default, whatever this machine's is. */
const CONGESTION = "congctl cubic";

/** What every host is set to. */
const DEFAULTS = [
  "echo 1 > /proc/sys/net/ipv4/tcp_slow_start_after_idle",
  "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
  "ip link set lo up",
];

/**
 *   client ──10 ms── relay ──10 ms── target
 *
 * Three hosts on two long lines; the one in the middle passes on what goes from end to end, as any router on the way. It is the
 * namespace that this process runs in.
 */
export class LongLines extends Wire<Host> {
  readonly #lines: Process[] = [];

  private constructor() {
    const { client, target, node } = ADDRESSES;
    super({ hosts: { client, target, relay: node }, own: node, nameServer: node });
  }

  /**
   * @param dir a folder that stays for as long as the lines
   * @throws Error where the system lets none of it be made
   */
  static async make(dir: string): Promise<LongLines> {
    const lines = new LongLines();
    await shell(["mount -t tmpfs tmpfs /run", ...DEFAULTS, "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    await shell(
      [ADDRESSES.edge, ADDRESSES.node, ADDRESSES.proxy].map((one) => `ip addr add ${one}/32 dev lo`),
    );
    await sayNames(dir);
    const program = await compile("delay-link");
    for (const host of ["client", "target"] as const) await lines.#lead(host, program);
    return lines;
  }

  /** A command on the relay's host is one like any other. */
  override on(host: Host): string[] {
    return host === "relay" ? ["env"] : super.on(host);
  }

  /** Lets connections to the client begin with so many segments, or with what the system begins with again. */
  async window(segments: number, change: "set" | "undo"): Promise<void> {
    const what = change === "undo" ? "undo " : "";
    await shell([`'${WINDOW_SCRIPT}' ${what}${segments} ${ADDRESSES.client}`]);
  }

  async close(): Promise<void> {
    for (const line of this.#lines) await line.stop();
  }

  async #lead(host: "client" | "target", program: string): Promise<void> {
    await shell([`ip netns add ${host}`]);
    const args = [String(LINE_MICROSECONDS), OWN, `to-${host}`, `/run/netns/${host}`, "line"];
    this.#lines.push(await Process.start(program, args, { core: CORES.driver, ready: "says so" }));
    const address = ADDRESSES[host];
    await shell([
      `ip link set to-${host} txqueuelen 10000 up`,
      `ip route add ${address} dev to-${host} ${CONGESTION}`,
    ]);
    await this.inside(host, [
      ...DEFAULTS,
      `ip addr add ${address}/32 dev line`,
      "ip link set line txqueuelen 10000 up",
      `ip route add default dev line ${CONGESTION}`,
    ]);
  }
}

/** Every host knows the names without asking, so that no look-up is in what is measured. */
async function sayNames(dir: string): Promise<void> {
  const file = join(dir, "hosts");
  const lines = Object.entries({ ...NAMES, localhost: "127.0.0.1" }).map(
    ([name, address]) => `${address} ${name}\n`,
  );
  writeFileSync(file, lines.join(""), { mode: 0o644 });
  await shell([`mount --bind '${file}' /etc/hosts`]);
}
