import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { USAGE_MONTH } from "../../protocol/usage.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { readOperator } from "../init/operator.ts";
import { reportFailure } from "../report.ts";
import { type UsageRow, usageTable } from "../usage-table.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast usage [CLIENT] [options]

Tells what clients used in a calendar month (UTC), over all nodes, to some seconds ago: requests, refusals, streams and their
minutes, bytes each way. Behind a number, * stands where it is over a soft limit of the client's quota, ! where over a hard one.
Signed with the deployment's operator key.

      --month YYYY-MM   another month than the one that runs; 25 of them are kept
      --json            one JSON object: the month, and each client's numbers and quota
  -o, --out DIR         the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 it can't be told, 2 wrong usage.
`;

/** `holdfast usage`: what clients used. */
export const usageCommand: Command = {
  help,
  run: async (args) => {
    const { dir, client, month, json } = parse(args);
    try {
      const usage = await read(await readOperator(dir), client, month);
      process.stdout.write(json ? `${JSON.stringify(usage)}\n` : usageTable(usage.month, usage.usage));
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

interface Usage {
  readonly month: string;
  readonly usage: readonly UsageRow[];
}

/** All pages of it, of one month. */
async function read(
  operator: Operator,
  client: string | undefined,
  month: string | undefined,
): Promise<Usage> {
  const usage: UsageRow[] = [];
  let told = month;
  let after: string | undefined;
  do {
    const query = new URLSearchParams({
      ...(told !== undefined && { month: told }),
      ...(client !== undefined && { client }),
      ...(after !== undefined && { after }),
    });
    const path = query.size === 0 ? "/admin/usage" : `/admin/usage?${query.toString()}`;
    const { value } = await adminCall(operator, "GET", path);
    const page = value as Usage & { readonly next?: string };
    usage.push(...page.usage);
    told = page.month;
    after = page.next;
  } while (after !== undefined);
  return { month: told, usage };
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        out: { type: "string", short: "o" },
        month: { type: "string" },
        json: { type: "boolean", default: false },
      },
      allowPositionals: true,
    });
    const { out = DEFAULT_OUT, month, json } = values;
    if (positionals.length > 1) throw new UsageError("name one client, or none for all");
    if (month !== undefined && !USAGE_MONTH.test(month)) {
      throw new UsageError("a month is written as in 2026-11");
    }
    return { dir: resolve(out), client: positionals[0], month, json };
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError((cause as Error).message, { cause });
  }
}
