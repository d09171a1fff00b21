import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildBinary } from "../../../dev/binary.ts";
import { begin, type Ran, type Running } from "../../support/run.ts";
import { WIRE } from "./hosts.ts";
import { image } from "./image.ts";
import { START_DEADLINE_MS } from "./limits.ts";
import { allProcesses, firstProcess, ROOT_ENV } from "./root.ts";
import { type Postgres, startPostgres } from "./servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./stack.ts";
import { until } from "./until.ts";

const STAND_INS = resolve(import.meta.dirname, "../stand-ins");

/** Where the app finds the authority that signed the servers' certificates. */
export const AUTHORITY = "/authority/ca.pem";

/** What the stand-in of an app tells, a line each. */
export interface Told {
  readonly migrated?: true;
  readonly serving?: true;
  readonly drained?: true;
  /** A number that grows. */
  readonly done?: number;
  /** Where the server saw it come from. */
  readonly address?: string;
}

/** An example's commands in a container of its own, with a relay and a PostgreSQL that admits it alone. */
export interface ExampleApp {
  readonly stack: TunnelStack;
  readonly postgres: Postgres;
  /** Starts a command as the container's process 1; ended with `stop`, if not before. */
  start(words: readonly string[], env: Readonly<Record<string, string>>): Running;
  /** Ends what is under way. */
  endAll(): Promise<void>;
  stop(...others: readonly { stop(): Promise<unknown> }[]): Promise<void>;
}

/**
 * @param standIn the folder with the commands that the example calls
 * @param folder where the container has the app
 * @param content the folder whose content is put there
 */
export async function startExampleApp(standIn: string, folder: string, content: string): Promise<ExampleApp> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-example-"));
  const started: Running[] = [];
  const endAll = async () => {
    for (const { child, ended } of started.splice(0)) {
      child.kill("SIGKILL");
      await ended;
    }
  };
  let stack: TunnelStack | undefined;
  const stop = async (...others: readonly { stop(): Promise<unknown> }[]) => {
    await endAll();
    await stack?.stop(...others);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const holdfast = await buildBinary(join(dir, "built"));
    stack = await startTunnel();
    const postgres = await startPostgres(stack);
    const authority = join(dir, "authority");
    mkdirSync(authority);
    copyFileSync(stack.serverFiles.ca, join(authority, "ca.pem"));
    const container = image(dir, {
      programs: { holdfast },
      copies: {
        [folder]: [content, join(STAND_INS, "app"), join(STAND_INS, standIn)],
        "/authority": [authority],
      },
      folder,
    });
    const own = {
      ...ROOT_ENV,
      HOLDFAST_URL: stack.env["HOLDFAST_URL"]!,
      NODE_EXTRA_CA_CERTS: AUTHORITY,
      DATABASE_URL: `${postgres.url}?sslmode=verify-full&sslrootcert=${AUTHORITY}`,
    };
    return {
      stack,
      postgres,
      start: (words, env) => {
        const [file, ...args] = [...WIRE.on("client"), ...container, ...words] as [string, ...string[]];
        const running = begin(file, args, { env: { ...own, ...env }, bare: true });
        started.push(running);
        return running;
      },
      endAll,
      stop: (...others) => stop(postgres, ...others),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the app has told so far; its last line may be under way. */
export function told({ stdout }: { readonly stdout: string }): Told[] {
  const lines = stdout.slice(0, stdout.lastIndexOf("\n") + 1).split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Told);
}

/** Waits until the app has told something of which this is true. */
export function untilTold({ child, text, ended }: Running, what: (one: Told) => boolean): Promise<Told> {
  return until("it tells so", START_DEADLINE_MS, async () => {
    if (child.exitCode !== null) return new Error(`it ended: ${(await ended).stderr}`);
    return told(text).find((one) => what(one));
  });
}

/** Asks the container's process 1 to end, as most platforms do with a machine that is to go. */
export function terminate({ child, ended }: Running): Promise<Ran> {
  process.kill(firstProcess(child), "SIGTERM");
  return ended;
}

/** Asks every process in the container to end, as Heroku does. */
export function terminateAll({ child, ended }: Running): Promise<Ran> {
  for (const pid of allProcesses(child)) process.kill(pid, "SIGTERM");
  return ended;
}
