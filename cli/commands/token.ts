import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { adminCall } from "../../client/admin.ts";
import type { ScopeOptions } from "../../client/index.ts";
import { SCOPE_ACTS } from "../../protocol/claims.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { REQUEST_ID } from "../../protocol/tokens.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { makeCredential } from "../credential.ts";
import { durationSeconds } from "../duration.ts";
import { readOperator } from "../init/operator.ts";
import { assertProxyTargets } from "../proxy-targets.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast token --act ACT --allow TARGET [--allow TARGET …] --ttl TIME [--node ID …]
       holdfast token --revoke - [--out DIR] < token
       holdfast token --revoke JTI --client ID [--out DIR]

Signs a scope token with the key in HOLDFAST_URL, and writes it to stdout: for software that can be given a URL and nothing
else. Of stream that is wss://<edge>/stream/<token>?address=host:port; for proxy and url, holdfast proxy-url and holdfast url
make the whole URL.
Whoever has it can use it: treat it as a password. Without a key in HOLDFAST_URL it lives 15 min at most. Its jti, by which it
is revoked, is told on stderr.

      --act ACT        the door that takes it: ${SCOPE_ACTS.join(", ")}
      --allow TARGET   what it opens, as in tcp://db.example.com:5432; may be repeated
      --ttl TIME       how long it lives: 90d, 12h, 30m or 60s
      --node ID        the node that is to be used; may be repeated
      --revoke JTI     revoke a token by its jti, or with - one that is read from stdin, with every handle of it: they end
                       within 10 s, and what is open under them within 15 s. Signed with the deployment's operator key
      --client ID      whose token it is
  -o, --out DIR        the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 the token was written or revoked, 1 it can't be, 2 wrong usage.
`;

interface Revocation {
  readonly dir: string;
  /** Undefined for a token that stdin has. */
  readonly named: { readonly client: string; readonly token: string } | undefined;
}

/** `holdfast token`: a scope token. */
export const tokenCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    try {
      if ("dir" in asked) await revoke(asked);
      else await sign(asked);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function sign(options: ScopeOptions): Promise<void> {
  if (options.act === "proxy") assertProxyTargets(options.allow, "https");
  const token = await makeCredential(process.env["HOLDFAST_URL"], options, {
    dir: resolve(DEFAULT_OUT),
    operator: undefined,
  });
  process.stdout.write(`${token}\n`);
}

async function revoke({ dir, named }: Revocation): Promise<void> {
  const operator = await readOperator(dir);
  const body = named ?? { token: (await text(process.stdin)).trim() };
  const { value } = await adminCall(operator, "POST", "/admin/revocations", { body });
  const { client, token } = value as { readonly client: string; readonly token: string };
  process.stderr.write(`holdfast: token ${token} of ${client} is revoked\n`);
}

function parse(args: readonly string[]): ScopeOptions | Revocation {
  const { act: named, allow, ttl, node, revoke: revoked, client, out } = optionsOf(args);
  if (revoked !== undefined) {
    if (named !== undefined || allow !== undefined || ttl !== undefined || node !== undefined) {
      throw new UsageError("--revoke takes --client and --out alone");
    }
    return revocationOf(revoked, client, out);
  }
  if (client !== undefined || out !== undefined) throw new UsageError("--client and --out go with --revoke");
  const act = SCOPE_ACTS.find((one) => one === named);
  if (act === undefined) {
    throw new UsageError(`say --act ${SCOPE_ACTS.join(" or --act ")}: these doors take such a token`);
  }
  if (allow === undefined) throw new UsageError("name at least one target with --allow");
  const ttlSeconds = durationSeconds(ttl ?? "");
  if (ttlSeconds === undefined) throw new UsageError("say how long it is to live, as in --ttl 90d");
  return { act, allow, ttlSeconds, ...(node !== undefined && { node }) };
}

function revocationOf(revoked: string, client: string | undefined, out = DEFAULT_OUT): Revocation {
  const dir = resolve(out);
  if (revoked === "-") return { dir, named: undefined };
  // It is not quoted: it may be the token itself.
  if (!REQUEST_ID.test(revoked)) {
    throw new UsageError(
      "--revoke takes a token's jti; the token itself comes from stdin, behind --revoke -",
    );
  }
  if (client === undefined || !CLIENT_ID.test(client)) throw new UsageError("say whose it is: --client ID");
  return { dir, named: { client, token: revoked } };
}

function optionsOf(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        act: { type: "string" },
        allow: { type: "string", multiple: true },
        ttl: { type: "string" },
        node: { type: "string", multiple: true },
        revoke: { type: "string" },
        client: { type: "string" },
        out: { type: "string", short: "o" },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
