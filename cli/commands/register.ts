import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { isRelayError } from "../../client/index.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { readOperator } from "../init/operator.ts";
import { STATE_FILE } from "../init/plan.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast register [options]

Writes the clients that holdfast init prepared into the edge's registry, signed with the deployment's operator key. A
record that is there is replaced; clients that the folder doesn't name are left alone.

  -o, --out DIR   the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 written, 1 it can't be, 2 wrong usage.
`;

interface ClientRecord {
  readonly id: string;
}

/** `holdfast register`: the clients of a deployment's folder, into the registry. */
export const registerCommand: Command = {
  help,
  run: async (args) => {
    const dir = resolve(parse(args));
    try {
      const { operator, records } = await read(dir);
      for (const record of records) {
        process.stdout.write(`${record.id}: ${await register(operator, record)}\n`);
      }
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

function parse(args: readonly string[]): string {
  try {
    return (
      parseArgs({ args: [...args], options: { out: { type: "string", short: "o" } } }).values.out ??
      DEFAULT_OUT
    );
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

async function read(dir: string): Promise<{ operator: Operator; records: readonly ClientRecord[] }> {
  const json = (path: string) => JSON.parse(readFileSync(join(dir, path), "utf8")) as unknown;
  // First: it says what a folder is that is none of a deployment.
  const operator = await readOperator(dir);
  const { clients } = json(STATE_FILE) as { clients: readonly string[] };
  return {
    operator,
    records: clients.map((id) => json(`clients/${id}.json`) as ClientRecord),
  };
}

async function register(operator: Operator, record: ClientRecord): Promise<string> {
  const path = `/admin/clients/${record.id}`;
  const known = await adminCall(operator, "GET", path).catch((error: unknown) => {
    if (isRelayError(error) && error.code === "not_found") return undefined;
    throw error;
  });
  if (known !== undefined && isDeepStrictEqual(known.value, record)) return "registered already";
  await adminCall(operator, "PUT", path, { body: record, ifMatch: known?.version });
  return known === undefined ? "registered" : "replaced";
}
