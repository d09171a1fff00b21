import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { CORES } from "../processes.ts";

/** What is sent in a handshake, how much comes back, and how that begins. 0 bytes: the head of an HTTP answer of status 200. */
export interface Step {
  readonly send: string | Uint8Array;
  readonly expect: number;
  readonly begins: string | Uint8Array;
}

/** How a tunnel is asked for; without steps nothing stands between the driver and the target. */
export type Handshake = readonly Step[];

/** Where tunnels are opened. */
export interface TunnelPlace {
  readonly host: string;
  readonly port: number;
  /** Of handshakes, by `writeHandshakes`. */
  readonly file: string;
}

/** What native/tunnels.c tells; times in microseconds. */
export interface Told {
  readonly setups: number;
  readonly failed: number;
  readonly seconds: number;
  /** The driver's own. */
  readonly cpuSeconds: number;
  readonly bytes: number;
  readonly p50: number;
  readonly p99: number;
  /** What became of the first that failed; empty where none did. */
  readonly why: string;
}

/** The native driver of tunnels. */
export class Driver {
  readonly #path: string;
  readonly #cores: string;

  /** @param path by `compile("tunnels", …)` */
  constructor(path: string, cores: readonly number[] = [CORES.driver]) {
    this.#path = path;
    this.#cores = cores.join(",");
  }

  /** The same on other cores. */
  on(cores: readonly number[]): Driver {
    return new Driver(this.#path, cores);
  }

  /** Sets tunnels up and closes them, so many at once. */
  async rate(place: TunnelPlace, atOnce: number, seconds: number): Promise<Told> {
    const args = this.#args(place, "rate", atOnce, seconds);
    const { stdout } = await promisify(execFile)("taskset", args);
    return JSON.parse(stdout) as Told;
  }

  /**
   * Moves bytes through tunnels that stand.
   * @param begun called when they do, before the first byte
   * @param check whether each byte is compared with what was sent; all are counted
   * @throws Error where one fails, or carries another number of bytes, or others
   */
  async move(
    place: TunnelPlace,
    way: "down" | "up",
    tunnels: number,
    bytes: number,
    { begun = () => {}, check = false }: { readonly begun?: () => void; readonly check?: boolean } = {},
  ): Promise<Told> {
    const held = await this.#held(place, way, tunnels, bytes, ...(check ? ["check"] : []));
    try {
      begun();
      const last = once(held.lines, "line");
      held.child.stdin!.write("\n");
      const [line] = (await last) as [string];
      return JSON.parse(line) as Told;
    } catch (error) {
      held.child.kill("SIGKILL");
      throw error;
    }
  }

  /** Opens tunnels that say nothing. @returns what closes them */
  async hold(place: TunnelPlace, tunnels: number): Promise<() => Promise<void>> {
    const { child } = await this.#held(place, "hold", tunnels);
    return async () => {
      const gone = once(child, "exit");
      child.stdin!.end();
      await gone;
    };
  }

  async #held(place: TunnelPlace, ...words: readonly (string | number)[]) {
    const child: ChildProcess = spawn("taskset", this.#args(place, ...words), {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const killed = () => child.kill("SIGKILL");
    process.once("exit", killed);
    let said = "";
    child.stderr!.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const lines = createInterface({ input: child.stdout! });
    child.once("exit", (code) => {
      process.off("exit", killed);
      if (code !== 0) lines.emit("error", new Error(`tunnels ${words.join(" ")}: ${said.trim()}`));
    });
    await once(lines, "line");
    return { child, lines };
  }

  #args({ host, port, file }: TunnelPlace, ...words: readonly (string | number)[]): string[] {
    return ["-c", this.#cores, this.#path, host, String(port), file, ...words.map(String)];
  }
}

/** Writes handshakes as the driver reads them. */
export function writeHandshakes(file: string, handshakes: readonly Handshake[]): string {
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const text = (value: string | Uint8Array) => {
    const bytes = Buffer.from(value as string);
    return [number(bytes.length), bytes];
  };
  const all = handshakes.flatMap((steps) => [
    number(steps.length),
    ...steps.flatMap(({ send, expect, begins }) => [...text(send), number(expect), ...text(begins)]),
  ]);
  writeFileSync(file, Buffer.concat(all));
  return file;
}

/** @param login user and password, where there has to be one */
export function connectHandshake(authority: string, login?: string): Handshake {
  const basic =
    login === undefined ? "" : `Proxy-Authorization: Basic ${Buffer.from(login).toString("base64")}\r\n`;
  const send = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${basic}\r\n`;
  return [{ send, expect: 0, begins: "HTTP/1." }];
}

/** SOCKS 5 to an IPv4 address. */
export function socksHandshake(host: string, port: number, login?: readonly [string, string]): Handshake {
  const request = [5, 1, 0, 1, ...host.split(".").map(Number), port >> 8, port & 255];
  const asking = { send: Uint8Array.from(request), expect: 10, begins: Uint8Array.of(5, 0) };
  if (login === undefined) {
    return [{ send: Uint8Array.of(5, 1, 0), expect: 2, begins: Uint8Array.of(5, 0) }, asking];
  }
  const [user, password] = login.map((part) => Buffer.from(part)) as [Buffer, Buffer];
  const said = Buffer.concat([Buffer.of(1, user.length), user, Buffer.of(password.length), password]);
  return [
    { send: Uint8Array.of(5, 1, 2), expect: 2, begins: Uint8Array.of(5, 2) },
    { send: said, expect: 2, begins: Uint8Array.of(1, 0) },
    asking,
  ];
}
