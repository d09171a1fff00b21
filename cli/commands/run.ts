import { setTimeout as pause } from "node:timers/promises";
import {
  parseOptions,
  relayUrlHere,
  SETTINGS_HELP,
  SETTINGS_OPTIONS,
  settingsHere,
  splitCommand,
} from "../agent/agent-arguments.ts";
import { startChild } from "../agent/child.ts";
import { childEnvironment, keptFromProxies } from "../agent/child-env.ts";
import { endBySignal, exitCodeOf, signalExitCode, startFailureCode } from "../agent/exit.ts";
import { CLOSE_MS, DRAIN_MS } from "../agent/limits.ts";
import { relayFailure, startFailure, tell } from "../agent/messages.ts";
import { type Agent, startAgent } from "../agent/agent.ts";
import { keepOutputsBlocking } from "../agent/shared-output.ts";
import { type Signals, takeSignals } from "../agent/signals.ts";
import { type Command, EXIT, UsageError } from "../command.ts";

const help = `Usage: holdfast run [options] -- command [arguments]

Runs a command whose connections to the named destinations leave from the relay's address: by listeners that the
destinations' own names lead to, and by an HTTP and a SOCKS proxy that its environment names. Everything is ready before
the command starts, and taken back when it ends. Settings come from the options, HOLDFAST_ variables or holdfast.toml.

${SETTINGS_HELP}
      --no-proxies       leave HTTP_PROXY and its like as they are
      --hide-url         keep HOLDFAST_URL and HOLDFAST_ID_TOKEN from the command
      --require          don't start the command while the relay can't be reached
      --keep-going       let the command go on when the relay refuses the token later
  -q, --quiet            tell what goes wrong alone

Signals are passed on. Exit codes: the command's own; 128 and the number where a signal ended it; 2 wrong usage,
${EXIT.unavailable} the relay can't be reached and has to be, ${EXIT.refused} the relay refuses the token, ${EXIT.agentFailed} this machine can't do it, ${EXIT.notExecutable} the command
can't be executed, ${EXIT.notFound} there is no such command.
`;

const OPTIONS = {
  ...SETTINGS_OPTIONS,
  "no-proxies": { type: "boolean" },
  "hide-url": { type: "boolean" },
  require: { type: "boolean" },
  "keep-going": { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
} as const;

/** `holdfast run`: a command with the relay's address. */
export const runCommand: Command = {
  help,
  run: async (args) => {
    keepOutputsBlocking();
    const { own, command } = splitCommand(args);
    const { values, positionals } = parseOptions(own, OPTIONS, true);
    if (!isCommand(command) || positionals.length > 0) {
      throw new UsageError("name the command behind --, as in holdfast run -- npm start");
    }
    const settings = settingsHere(values);
    const relayUrl = await relayUrlHere();
    const signals = takeSignals();
    const note = values.quiet === true ? () => {} : tell;
    let agent: Agent;
    try {
      agent = await startAgent({
        settings,
        relayUrl,
        proxies: values["no-proxies"] !== true,
        requireRelay: values.require === true,
        stopped: signals.stopped,
        note,
        warn: tell,
      });
    } catch (error) {
      const by = signals.stoppedBy();
      if (by !== undefined) return endAs(by, signals);
      const { line, code } = startFailure(error);
      tell(`${line} The command was not started.`);
      return code;
    }
    if (agent.proxies !== undefined) {
      const kept = keptFromProxies(process.env, settings.hosts);
      if (kept.length > 0) tell(`NO_PROXY keeps ${kept.join(", ")} from the relay`);
    }
    const env = childEnvironment(process.env, {
      proxies: agent.proxies,
      names: agent.env,
      hideUrl: values["hide-url"],
    });
    const code = await runChild(command, env, { agent, signals, keepGoing: values["keep-going"] === true });
    // Timers and connections keep nobody waiting.
    process.exit(code);
  },
};

interface Running {
  readonly agent: Agent;
  readonly signals: Signals;
  readonly keepGoing: boolean;
}

/** Runs the command to its end and takes everything back. Does not come back where the command was ended by a signal. */
async function runChild(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  { agent, signals, keepGoing }: Running,
): Promise<number> {
  const close = () => Promise.race([agent.close(), pause(CLOSE_MS)]);
  const before = signals.stoppedBy();
  if (before !== undefined) {
    await close();
    return endAs(before, signals);
  }
  let child;
  try {
    child = await startChild(command, env);
  } catch (error) {
    await close();
    tell(`${command[0]} can't be started: ${(error as NodeJS.ErrnoException).code}`);
    return startFailureCode(error as NodeJS.ErrnoException);
  }
  signals.forwardTo(child.send);
  let isRefused = false;
  void agent.refused.then((error) => {
    tell(`the relay refuses the token. ${relayFailure(error)}${keepGoing ? "" : " The command is stopped."}`);
    if (keepGoing) return;
    isRefused = true;
    child.stop();
  });
  const ended = await child.ended;
  signals.childIsGone();
  await Promise.race([agent.drained(), pause(DRAIN_MS)]);
  await close();
  if (isRefused) return EXIT.refused;
  return ended.signal === null ? exitCodeOf(ended) : endAs(ended.signal, signals);
}

/** Ends as the command did; the code stands for it where that can't be done. */
function endAs(signal: NodeJS.Signals, signals: Signals): number {
  signals.release();
  endBySignal(signal);
  return signalExitCode(signal);
}

function isCommand(words: readonly string[]): words is readonly [string, ...string[]] {
  return words.length > 0 && words[0] !== "";
}
