import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { installMissing } from "../test/support/debian-packages.ts";
import { madeOnce } from "./made-once.ts";
import { CORES, Process } from "./processes.ts";

/** What a program is linked with, and the Debian packages that have it. */
const LIBRARIES: Readonly<
  Record<string, { readonly flags: readonly string[]; readonly packages: readonly string[] }>
> = {
  load: { flags: ["-lssl", "-lcrypto"], packages: ["libssl-dev"] },
  stream: { flags: ["-lssl", "-lcrypto"], packages: ["libssl-dev"] },
};

const SOURCES = resolve(import.meta.dirname, "native");

/** Compiles a program of bench/native, once; returns its path. */
export function compile(name: string): Promise<string> {
  return madeOnce(name, async (dir) => {
    const { flags, packages } = LIBRARIES[name] ?? { flags: [], packages: [] };
    await installMissing(["gcc", "libc6-dev", ...packages], "bench");
    const path = join(dir, name);
    const source = join(SOURCES, `${name}.c`);
    await promisify(execFile)("gcc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", path, source, ...flags]);
    return path;
  });
}

/** Where the target listens: see native/origin.c for what it answers. */
export interface Origin {
  readonly process: Process;
  readonly host: string;
  readonly http: number;
  readonly tcp: number;
}

/**
 * Starts the target, beside the driver.
 * @param answers files that hold whole answers, by the paths that they answer
 */
export async function startOrigin(
  at: { host: string; http: number; tcp: number },
  answers: Readonly<Record<string, string>> = {},
): Promise<Origin> {
  const path = await compile("origin");
  const args = [at.host, String(at.http), String(at.tcp), ...Object.entries(answers).flat()];
  return { ...at, process: await Process.start(path, args, { core: CORES.driver, ready: "says so" }) };
}

/** What native/load.c tells; times in microseconds. */
export interface Load {
  readonly requests: number;
  readonly seconds: number;
  /** The driver's own. */
  readonly cpuSeconds: number;
  /** Of the process that was watched; else 0. */
  readonly watchedCpuSeconds: number;
  readonly bytes: number;
  /** Connections that broke before an answer. */
  readonly broken: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly statuses: Readonly<Record<string, number>>;
}

/**
 * Sends requests, each timed.
 * @param path of the driver, by `compile("load", …)`
 * @param file of requests, by `packed`
 */
export async function load(
  path: string,
  at: { readonly host: string; readonly port: number },
  options: {
    readonly connections: number;
    readonly seconds: number;
    readonly file: string;
    readonly repeat?: boolean;
    /** Speaks TLS, and looks at no certificate. */
    readonly tls?: boolean;
    /** The first that are not counted. */
    readonly skip?: number;
    /** A process whose CPU is told. */
    readonly watch?: number;
  },
): Promise<Load> {
  const { connections, seconds, file, repeat = false, tls = false, skip, watch } = options;
  const args = [
    "-c",
    String(CORES.driver),
    path,
    at.host,
    at.port,
    connections,
    seconds,
    file,
    ...(repeat ? ["repeat"] : []),
    ...(tls ? ["tls"] : []),
    ...(skip === undefined ? [] : [`skip=${skip}`]),
    ...(watch === undefined ? [] : [`watch=${watch}`]),
  ];
  const { stdout } = await promisify(execFile)("taskset", args.map(String));
  return JSON.parse(stdout) as Load;
}

/** Requests as the driver reads them: the length of each before its bytes. */
export function packed(requests: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    requests.flatMap((request) => {
      const bytes = Buffer.from(request as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
