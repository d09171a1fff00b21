import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { readOperator } from "../init/operator.ts";
import { makeHandle } from "../make-handle.ts";
import { reportFailure } from "../report.ts";
import { moment, table } from "../table.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast handle [options] < token
       holdfast handle --list --client ID [--json]
       holdfast handle --revoke ID [options]

Makes a handle for a scope token that it reads from stdin: a short random text that stands for it, and can be revoked. The
handle is written to stdout, once; its id, by which it is revoked, to stderr. Signed with the deployment's operator key.

      --list          tell a client's handles: id, act, end, the thumbprint of the key behind it, targets; never the handle
      --client ID     whose
      --json          the list as JSON
      --revoke ID     revoke a handle; it ends within 10 s, and what is open under it within 15 s
  -o, --out DIR       the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 it can't be made, told or revoked, 2 wrong usage.
`;

type HandleArguments = { readonly dir: string } & (
  | { readonly action: "make" }
  | { readonly action: "revoke"; readonly id: string }
  | { readonly action: "list"; readonly client: string; readonly json: boolean }
);

/** What the edge tells of a handle. */
interface ListedHandle {
  readonly id: string;
  readonly act: string;
  readonly allow: readonly string[];
  /** Seconds since 1970. */
  readonly expires: number;
  /** Thumbprint of the key that signed the token. */
  readonly key: string;
  /** The token's `jti`. */
  readonly token: string;
}

/** `holdfast handle`: a handle for a scope token. */
export const handleCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    try {
      const operator = await readOperator(asked.dir);
      if (asked.action === "make") await make(operator);
      else if (asked.action === "list") await list(operator, asked);
      else await end(operator, asked);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function make(operator: Operator): Promise<void> {
  const token = (await text(process.stdin)).trim();
  const { id, handle, client, expires } = await makeHandle(operator, token);
  process.stderr.write(`holdfast: handle ${id} of ${client}, until ${moment(expires)}\n`);
  process.stdout.write(`${handle}\n`);
}

async function end(operator: Operator, { id }: { readonly id: string }): Promise<void> {
  await adminCall(operator, "DELETE", `/admin/handles/${encodeURIComponent(id)}`);
  process.stderr.write(`holdfast: handle ${id} is revoked\n`);
}

async function list(
  operator: Operator,
  { client, json }: { readonly client: string; readonly json: boolean },
): Promise<void> {
  const handles: ListedHandle[] = [];
  for (let after = ""; ;) {
    const { value } = await adminCall(operator, "GET", `/admin/handles?client=${client}${after}`);
    const page = value as { readonly handles: readonly ListedHandle[]; readonly next: string | null };
    handles.push(...page.handles);
    if (page.next === null) break;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
  const rows = handles.map(({ id, act, expires, key, allow }) => [
    id,
    act,
    moment(expires),
    key,
    allow.join(" "),
  ]);
  process.stdout.write(
    json ? `${JSON.stringify(handles, null, 2)}\n` : table([["ID", "ACT", "UNTIL", "KEY", "ALLOW"], ...rows]),
  );
}

function parse(args: readonly string[]): HandleArguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        out: { type: "string", short: "o" },
        list: { type: "boolean" },
        client: { type: "string" },
        json: { type: "boolean" },
        revoke: { type: "string" },
      },
      allowPositionals: true,
    });
    // The parser's own message would repeat what may be a token.
    if (positionals.length > 0) throw new UsageError("the token comes from stdin, never as an argument");
    const { out = DEFAULT_OUT, list: isList = false, client, json, revoke } = values;
    const dir = resolve(out);
    if (!isList && (client !== undefined || json === true)) {
      throw new UsageError("--client and --json go with --list");
    }
    if (isList && revoke !== undefined) throw new UsageError("say --list or --revoke");
    if (revoke !== undefined) return { dir, action: "revoke", id: revoke };
    if (!isList) return { dir, action: "make" };
    if (client === undefined || !CLIENT_ID.test(client)) {
      throw new UsageError("say whose: --list --client ID");
    }
    return { dir, action: "list", client, json: json ?? false };
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError((cause as Error).message, { cause });
  }
}
