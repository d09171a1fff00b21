import type { ChildProcess } from "node:child_process";
import { type Conversation, conversation } from "./conversation.ts";
import type { Wire } from "./wire.ts";

/** A module on a host, which answers questions as `answerQuestions` does. */
export interface ModuleOnHost extends Conversation {
  readonly process: ChildProcess;
}

/** Starts a module of Node's on a host; resolves when it says that it is ready. */
export async function startModule<Host extends string>(
  wire: Wire<Host>,
  host: Host,
  module: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ModuleOnHost> {
  const child = wire.spawn(host, process.execPath, [module, ...args], {
    env,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  await new Promise<void>((ready, failed) => {
    child.once("message", () => ready());
    child.once("exit", (code) => failed(new Error(`${module} ended with ${code}`)));
  });
  return { ...conversation(child), process: child };
}
