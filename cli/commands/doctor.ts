import { examine } from "../agent/doctor/examine.ts";
import { type Finding, findingLine } from "../agent/doctor/findings.ts";
import { parseOptions, readIfThere, VIA_HELP } from "../agent/agent-arguments.ts";
import type { Via } from "../../client/node/via.ts";
import { readSettings, type SettingsFlags } from "../agent/settings.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { parseAddresses } from "../fetch-arguments.ts";

const help = `Usage: holdfast doctor [options]

Looks at everything between this machine and its destinations: settings, HOLDFAST_URL, the edge, the clock, whether the edge sees
URLs as they are sent, the platform that tells who is asking where there is no key, the token, each node, and each destination by
each node with the address that it is seen from. One line each: ✓, ! and what to know, or ✗ and what mends it.

      --to LIST          destinations: host:port or URLs, by commas; may be repeated
${VIA_HELP}
      --config FILE      in place of holdfast.toml in this folder
      --expect-ip ADDR   fail unless destinations are seen from this address; may be repeated, or a comma list
      --json             write the findings as JSON

Exit codes: 0 all is well, 1 something is not, 2 wrong usage.
`;

const OPTIONS = {
  to: { type: "string", multiple: true },
  via: { type: "string" },
  config: { type: "string" },
  "expect-ip": { type: "string", multiple: true },
  json: { type: "boolean" },
} as const;

/** `holdfast doctor`: what is wrong, and what mends it. */
export const doctorCommand: Command = {
  help,
  run: async (args) => {
    const { values } = parseOptions(args, OPTIONS);
    const expected = parseAddresses(values["expect-ip"]) ?? [];
    const { finding, destinations, via } = settingsFinding(values);
    const findings: Finding[] = [];
    const found = (one: Finding) => {
      findings.push(one);
      if (values.json !== true) process.stdout.write(`${findingLine(one)}\n`);
    };
    found(finding);
    const relayUrl = process.env["HOLDFAST_URL"];
    for await (const one of examine({ relayUrl, via, destinations, expected })) found(one);
    const ok = findings.every((one) => one.ok);
    if (values.json === true) process.stdout.write(`${JSON.stringify({ ok, findings }, null, 2)}\n`);
    return ok ? EXIT.ok : EXIT.failed;
  },
};

function settingsFinding(flags: SettingsFlags): {
  readonly finding: Finding;
  readonly destinations: readonly { readonly host: string; readonly port: number }[];
  readonly via: Via;
} {
  const check = "settings";
  try {
    const sources = { env: process.env, readFile: readIfThere, folder: process.cwd() };
    const { destinations, services, hosts, via, notes } = readSettings(flags, sources);
    const counts = [
      counted(destinations.length, "destination"),
      ...(services.length === 0 ? [] : [counted(services.length, "mongodb+srv name")]),
      counted(hosts.length, "host"),
      ...(via === "direct" ? ["straight to nodes"] : []),
    ];
    const text = [counts.join(", "), ...notes].join("; ");
    return { finding: { check, ok: true, text }, destinations, via };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const text = error.message.replaceAll(/\n\s*/g, "; ");
    return {
      finding: { check, ok: false, text, mend: "Correct them as docs/tunnel.md has it." },
      destinations: [],
      via: "edge",
    };
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
