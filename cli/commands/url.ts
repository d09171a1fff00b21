import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseRelayUrl } from "../../protocol/keys.ts";
import { relayUrl, relayUrlAllow } from "../../protocol/relay-urls.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { egressLine, makeCredential, operatorFor, tell } from "../credential.ts";
import { durationSeconds } from "../duration.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast url TARGET --ttl TIME [options]

Makes a relay URL, for software that lets nothing be set but a base URL, and writes it to stdout:
https://<edge>/r/<token>/v1 in the place of https://api.bank.com/v1. The token is a scope token, signed with the key in
HOLDFAST_URL. Whoever has the URL can use it: treat it as a password. How to revoke it is told on stderr. docs/relay-url.md tells
what it can't do.

      TARGET           an https URL: https://api.bank.com/v1 opens that and everything below it, https://api.bank.com/v1/*
                       only what is below. The client's own list has to admit it, too
      --methods LIST   the methods that it opens, by commas: GET,POST; default all
      --ttl TIME       how long it lives: 90d, 12h, 30m or 60s
      --handle         a short handle in the token's place. It is made with the deployment's operator key
      --node ID        the node that is to be used; may be repeated
  -o, --out DIR        the deployment's folder, for its operator key; default ${DEFAULT_OUT}

Exit codes: 0 the URL was written, 1 it can't be made, 2 wrong usage.
`;

const ANSWER_SECONDS = 15;

interface UrlArguments {
  readonly target: string;
  readonly methods: readonly string[] | undefined;
  readonly ttlSeconds: number;
  readonly handle: boolean;
  readonly node: readonly string[] | undefined;
  /** The deployment's folder. */
  readonly dir: string;
}

/** `holdfast url`: what goes where software has a base URL. */
export const urlCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    try {
      process.stdout.write(`${await make(asked, process.env["HOLDFAST_URL"])}\n`);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error, ANSWER_SECONDS);
    }
  },
};

/** Returns the URL; what else is to be known goes to stderr. */
async function make(asked: UrlArguments, holdfastUrl: string | undefined): Promise<string> {
  const { target, methods, ttlSeconds, handle, node, dir } = asked;
  const { edge } = parseRelayUrl(holdfastUrl);
  const allow = relayUrlAllow(target, methods);
  const operator = handle ? await operatorFor(dir, edge) : undefined;
  const addresses = egressLine(edge, node, AbortSignal.timeout(ANSWER_SECONDS * 1_000));
  const options = { act: "url", allow, ttlSeconds, ...(node !== undefined && { node }) } as const;
  const credential = await makeCredential(holdfastUrl, options, { dir, operator });
  tell(await addresses);
  return relayUrl(edge, credential, target);
}

/** @throws UsageError */
function parse(args: readonly string[]): UrlArguments {
  const { values, positionals } = parseOptions(args);
  const [target, ...more] = positionals;
  if (target === undefined || more.length > 0) {
    throw new UsageError("name one target, as in https://api.bank.com/v1");
  }
  const ttlSeconds = durationSeconds(values.ttl ?? "");
  if (ttlSeconds === undefined) throw new UsageError("say how long it lives: --ttl 90d, 12h, 30m or 60s");
  return {
    target,
    methods: values.methods?.toUpperCase().split(","),
    ttlSeconds,
    handle: values.handle ?? false,
    node: values.node,
    dir: resolve(values.out ?? DEFAULT_OUT),
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        methods: { type: "string" },
        ttl: { type: "string" },
        handle: { type: "boolean" },
        node: { type: "string", multiple: true },
        out: { type: "string", short: "o" },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
