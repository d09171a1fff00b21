import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { type AuditEntry, auditText } from "../audit-text.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { readOperator } from "../init/operator.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast audit [options]

Tells who changed the registry's clients, handles, tokens and routes, and what was done to deliveries, when and how: the newest
change first, one a line. Signed with the deployment's operator key.

      --client ID   of one client alone, with its handles, tokens and routes
      --limit N     how many; default 50
      --json        as JSON
  -o, --out DIR     the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 told, 1 it can't be had, 2 wrong usage.
`;

const DEFAULT_LIMIT = "50";

/** How many the edge tells at once. */
const PAGE = 100;

interface AuditArguments {
  readonly dir: string;
  readonly json: boolean;
  readonly client: string | undefined;
  readonly limit: number;
}

/** `holdfast audit`: what was changed in the registry. */
export const auditCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    try {
      const entries = await read(await readOperator(asked.dir), asked);
      process.stdout.write(asked.json ? `${JSON.stringify(entries, null, 2)}\n` : auditText(entries));
      if (entries.length === 0) process.stderr.write("holdfast: no change is written down\n");
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function read(operator: Operator, { client, limit }: AuditArguments): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  const query = new URLSearchParams(client === undefined ? {} : { client });
  while (entries.length < limit) {
    query.set("limit", String(Math.min(PAGE, limit - entries.length)));
    const { value } = await adminCall(operator, "GET", `/admin/audit?${query.toString()}`);
    const page = value as { readonly entries: readonly AuditEntry[]; readonly next: number | null };
    entries.push(...page.entries);
    if (page.next === null) break;
    query.set("before", String(page.next));
  }
  return entries;
}

/** @throws UsageError */
function parse(args: readonly string[]): AuditArguments {
  const { client, limit = DEFAULT_LIMIT, json = false, out = DEFAULT_OUT } = optionsOf(args);
  if (client !== undefined && !CLIENT_ID.test(client)) throw new UsageError("--client takes a client's id");
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new UsageError("--limit takes a number from 1 on");
  return { dir: resolve(out), json, client, limit: Number(limit) };
}

function optionsOf(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        client: { type: "string" },
        limit: { type: "string" },
        json: { type: "boolean" },
        out: { type: "string", short: "o" },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
