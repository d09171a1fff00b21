import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A module that runs in a network of its own and answers questions. */
export interface Isolated {
  /** @throws Error with what went wrong in there */
  ask<Answer>(question: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

/**
 * In the namespace every address of both families is this machine's own and nothing leads out of it: what a guard wrongly
 * lets through is accepted by a listener there, and counted, whatever its address.
 */
const SCRIPT = [
  "ip link set lo up",
  "ip route add local 0.0.0.0/0 dev lo",
  "ip -6 route add local ::/0 dev lo",
  'exec "$0" "$@"',
].join(" && ");

/**
 * Runs a module of Node's in a fresh network namespace. It must answer `{ id, question }` by `{ id, answer }` or
 * `{ id, error }`, and say "ready" before.
 *
 * @throws Error where the system lets no namespace be made: these tests are not run without one
 */
export async function startIsolated(module: string): Promise<Isolated> {
  // Without root a user namespace of one's own allows the same.
  const flags = process.getuid?.() === 0 ? ["--net"] : ["--net", "--map-root-user"];
  const child = spawn("unshare", [...flags, "sh", "-c", SCRIPT, process.execPath, module], {
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  let complaint = "";
  child.stderr!.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
  await new Promise<void>((ready, failed) => {
    const fail = (why: unknown) =>
      failed(
        new Error(`these tests need a network namespace (Linux, unshare, ip): ${String(why)} ${complaint}`),
      );
    child.once("message", () => ready());
    child.once("error", fail);
    child.once("exit", (code) => fail(`it ended with ${code}`));
  });
  return conversation(child);
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

function conversation(child: ChildProcess): Isolated {
  const waiting = new Map<number, { done: (answer: unknown) => void; failed: (error: Error) => void }>();
  let ids = 0;
  child.on("message", ({ id, answer, error }: Reply) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.done(answer);
    else asked?.failed(new Error(error));
  });
  child.once("exit", (code) => {
    for (const { failed } of waiting.values()) failed(new Error(`the isolated process ended with ${code}`));
  });
  return {
    ask: <Answer>(question: unknown) =>
      new Promise<Answer>((done, failed) => {
        const id = ++ids;
        waiting.set(id, { done: done as (answer: unknown) => void, failed });
        child.send({ id, question });
      }),
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}
