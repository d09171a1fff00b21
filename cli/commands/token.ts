import { parseArgs } from "node:util";
import { createScopeToken, type ScopeOptions } from "../../client/index.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { durationSeconds } from "../duration.ts";
import { assertProxyTargets } from "../proxy-targets.ts";
import { report } from "../report.ts";

const help = `Usage: holdfast token --act ACT --allow TARGET [--allow TARGET …] --ttl TIME [--node ID …]

Signs a scope token with the key in HOLDFAST_URL, and writes it to stdout: for software that can be given a URL and nothing
else. Of stream that is wss://<edge>/stream/<token>?address=host:port; for proxy, holdfast proxy-url makes the whole URL.
Whoever has it can use it: treat it as a password. Without a key in HOLDFAST_URL it lives 15 min at most.

      --act ACT        the door that takes it: stream or proxy
      --allow TARGET   what it opens, as in tcp://db.example.com:5432; may be repeated
      --ttl TIME       how long it lives: 90d, 12h, 30m or 60s
      --node ID        the node that is to be used; may be repeated

Exit codes: 0 the token was written, 1 it can't be signed, 2 wrong usage.
`;

/** `holdfast token`: a scope token. */
export const tokenCommand: Command = {
  help,
  run: async (args) => {
    const options = parse(args);
    try {
      if (options.act === "proxy") assertProxyTargets(options.allow, "https");
      process.stdout.write(`${await createScopeToken(process.env["HOLDFAST_URL"], options)}\n`);
      return EXIT.ok;
    } catch (error) {
      return report(error, { maxTime: undefined, verbose: false });
    }
  },
};

function parse(args: readonly string[]): ScopeOptions {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        act: { type: "string" },
        allow: { type: "string", multiple: true },
        ttl: { type: "string" },
        node: { type: "string", multiple: true },
      },
    }));
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
  const { act, allow, ttl, node } = values;
  if (act !== "stream" && act !== "proxy") {
    throw new UsageError("say --act stream or --act proxy: these doors take such a token");
  }
  if (allow === undefined) throw new UsageError("name at least one target with --allow");
  const ttlSeconds = durationSeconds(ttl ?? "");
  if (ttlSeconds === undefined) throw new UsageError("say how long it is to live, as in --ttl 90d");
  return { act, allow, ttlSeconds, ...(node !== undefined && { node }) };
}
