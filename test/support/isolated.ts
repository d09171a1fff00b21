import { spawn } from "node:child_process";
import { type Conversation, conversation } from "./conversation.ts";

/** A module that runs in a network of its own and answers questions. */
export type Isolated = Conversation;

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
