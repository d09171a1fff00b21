import { CLEANUP_COMMAND } from "./agent/cleanup-command.ts";
import { EXIT, type Command, UsageError } from "./command.ts";
import { version } from "./version.ts";

/** A command as the list of them has it. */
interface Entry {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** What the others need is not loaded: most starts are of programs that wait for it. */
  readonly load: () => Promise<Command>;
}

/** The commands around an app, in the order in which the help lists them. */
const COMMANDS: readonly Entry[] = [
  {
    name: "run",
    summary: "run a command whose connections leave from the relay's address",
    load: async () => (await import("./commands/run.ts")).runCommand,
  },
  {
    name: "proxy",
    summary: "run local proxies by which named hosts are reached from the relay's address",
    load: async () => (await import("./commands/proxy.ts")).proxyCommand,
  },
  {
    name: "tunnel",
    summary: "listen for one destination that is reached from the relay's address",
    load: async () => (await import("./commands/tunnel.ts")).tunnelCommand,
  },
  {
    name: "doctor",
    summary: "look at everything between this machine and its destinations",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
  {
    name: "fetch",
    summary: "make one request from the relay's address, like curl",
    load: async () => (await import("./commands/fetch.ts")).fetchCommand,
  },
  {
    name: "send",
    summary: "hand one request over that is made later, as often as it takes",
    load: async () => (await import("./commands/send.ts")).sendCommand,
  },
  {
    name: "ips",
    summary: "tell the addresses that targets see, and their changes",
    load: async () => (await import("./commands/ips.ts")).ipsCommand,
  },
  {
    name: "token",
    summary: "sign a token for many connections to a few targets, or revoke one",
    load: async () => (await import("./commands/token.ts")).tokenCommand,
  },
  {
    name: "handle",
    summary: "make a short handle for a scope token, list a client's, or revoke one",
    load: async () => (await import("./commands/handle.ts")).handleCommand,
  },
  {
    name: "proxy-url",
    summary: "make the URL of the relay's proxy, for software that can be given a proxy and nothing else",
    load: async () => (await import("./commands/proxy-url.ts")).proxyUrlCommand,
  },
  {
    name: "url",
    summary: "make a relay URL, for software that lets nothing be set but a base URL",
    load: async () => (await import("./commands/url.ts")).urlCommand,
  },
];

/** Those around a deployment, likewise. */
const OPERATORS: readonly Entry[] = [
  {
    name: "init",
    summary: "make a deployment's keys and configuration from one answer file",
    load: async () => (await import("./commands/init.ts")).initCommand,
  },
  {
    name: "register",
    summary: "write a deployment's clients into the edge's registry",
    load: async () => (await import("./commands/register.ts")).registerCommand,
  },
  {
    name: "clients",
    summary: "list, add, change, rotate and remove the edge's clients",
    load: async () => (await import("./commands/clients.ts")).clientsCommand,
  },
  {
    name: "routes",
    summary: "list, add, change, rotate, pause and remove the routes that providers call",
    load: async () => (await import("./commands/routes.ts")).routesCommand,
  },
  {
    name: "deliveries",
    summary: "tell what was accepted and what became of it; replay, purge, skip, pause and resume",
    load: async () => (await import("./commands/deliveries.ts")).deliveriesCommand,
  },
  {
    name: "audit",
    summary: "tell who changed the edge's clients and routes, when and how",
    load: async () => (await import("./commands/audit.ts")).auditCommand,
  },
  {
    name: "learn",
    summary: "make a client's allow list from what it used in report mode",
    load: async () => (await import("./commands/learn.ts")).learnCommand,
  },
  {
    name: "usage",
    summary: "tell what clients used in a month, and how their quotas stand",
    load: async () => (await import("./commands/usage.ts")).usageCommand,
  },
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
  if (name === CLEANUP_COMMAND) return (await import("./agent/hosts-cleanup.ts")).cleanUpHosts(rest);
  const entry = [...COMMANDS, ...OPERATORS].find((one) => one.name === name);
  if (entry === undefined) {
    const problem = name === undefined ? "name a command" : `unknown command ${JSON.stringify(name)}`;
    process.stderr.write(`holdfast: ${problem}\n\n${help()}`);
    return EXIT.usage;
  }
  const command = await entry.load();
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
    const more = `holdfast ${entry.name} --help tells more.`;
    process.stderr.write(`holdfast ${entry.name}: ${error.message}\n\n${usageOf(command.help)}\n${more}\n`);
    return EXIT.usage;
  }
}

/** The ways to call it, which a help text begins with: all of it would push the problem off the screen. */
function usageOf(text: string): string {
  return text.slice(0, text.indexOf("\n\n") + 1);
}

function help(): string {
  const width = Math.max(...[...COMMANDS, ...OPERATORS].map(({ name }) => name.length));
  const list = (entries: readonly Entry[]) =>
    entries.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join("\n");
  return `Usage: holdfast <command> [options]

${list(COMMANDS)}

For operators of a relay:

${list(OPERATORS)}

holdfast <command> --help tells more of one; holdfast --version tells this version.
HOLDFAST_URL=https://<client-id>:<private key>@<edge host> names the relay and who is asking; without :<private key> the platform says
who, as docs/keyless.md has it.
`;
}
