import { cleanUpHosts } from "./agent/hosts-cleanup.ts";
import { CLEANUP_COMMAND } from "./agent/hosts-map.ts";
import { fetchCommand } from "./commands/fetch.ts";
import { handleCommand } from "./commands/handle.ts";
import { ipsCommand } from "./commands/ips.ts";
import { initCommand } from "./commands/init.ts";
import { registerCommand } from "./commands/register.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { proxyCommand } from "./commands/proxy.ts";
import { runCommand } from "./commands/run.ts";
import { tokenCommand } from "./commands/token.ts";
import { tunnelCommand } from "./commands/tunnel.ts";
import { EXIT, type Command, UsageError } from "./command.ts";
import { version } from "./version.ts";

/** Every command, in the order in which the help lists them. */
const COMMANDS: readonly Command[] = [
  runCommand,
  proxyCommand,
  tunnelCommand,
  doctorCommand,
  fetchCommand,
  ipsCommand,
  tokenCommand,
  handleCommand,
  initCommand,
  registerCommand,
];

/** Runs the command line and sets the process's exit code; output that is still on its way is not cut off. */
export async function run(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  process.exitCode = await main(args);
}

async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-V") {
    process.stdout.write(`holdfast ${version()}\n`);
    return EXIT.ok;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(help());
    return EXIT.ok;
  }
  // An agent's watchdog runs it, nobody else.
  if (name === CLEANUP_COMMAND) return cleanUpHosts(rest);
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const problem = name === undefined ? "name a command" : `unknown command ${JSON.stringify(name)}`;
    process.stderr.write(`holdfast: ${problem}\n\n${help()}`);
    return EXIT.usage;
  }
  // Behind `--` they are another command's.
  const own = new Set(rest.slice(0, [...rest, "--"].indexOf("--")));
  if (own.has("--help") || own.has("-h")) {
    process.stdout.write(command.help);
    return EXIT.ok;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`holdfast ${command.name}: ${error.message}\n\n${command.help}`);
    return EXIT.usage;
  }
}

function help(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: holdfast <command> [options]

${lines.join("\n")}

holdfast <command> --help tells more of one; holdfast --version tells this version.
HOLDFAST_URL=https://<client-id>:<private key>@<edge host> names the relay and who is asking.
`;
}
