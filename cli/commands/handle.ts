import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { readOperator } from "../init/operator.ts";
import { makeHandle } from "../make-handle.ts";
import { report } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast handle [options] < token
       holdfast handle --revoke ID [options]

Makes a handle for a scope token that it reads from stdin: a short random text that stands for it, and can be revoked. The
handle is written to stdout, once; its id, by which it is revoked, to stderr. Signed with the deployment's operator key.

      --revoke ID     revoke a handle; it ends within 10 s
  -o, --out DIR       the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 it can't be made or revoked, 2 wrong usage.
`;

/** `holdfast handle`: a handle for a scope token. */
export const handleCommand: Command = {
  help,
  run: async (args) => {
    const { dir, revoke } = parse(args);
    try {
      const operator = await readOperator(dir);
      if (revoke === undefined) await make(operator);
      else await adminCall(operator, "DELETE", `/admin/handles/${encodeURIComponent(revoke)}`);
      return EXIT.ok;
    } catch (error) {
      return report(error, { maxTime: undefined, verbose: false });
    }
  },
};

async function make(operator: Operator): Promise<void> {
  const token = (await text(process.stdin)).trim();
  const { id, handle, client, expires } = await makeHandle(operator, token);
  const until = new Date(expires * 1_000).toISOString();
  process.stderr.write(`holdfast: handle ${id} of ${client}, until ${until}\n`);
  process.stdout.write(`${handle}\n`);
}

function parse(args: readonly string[]): { readonly dir: string; readonly revoke: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { out: { type: "string", short: "o" }, revoke: { type: "string" } },
      allowPositionals: true,
    });
    // The parser's own message would repeat what may be a token.
    if (positionals.length > 0) throw new UsageError("the token comes from stdin, never as an argument");
    return { dir: resolve(values.out ?? DEFAULT_OUT), revoke: values.revoke };
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError((cause as Error).message, { cause });
  }
}
