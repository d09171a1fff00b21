import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Operator } from "../../client/admin.ts";
import { isRelayError, RelayError } from "../../client/index.ts";
import {
  fetchProxies,
  PROXY_SCHEMES,
  type ProxyScheme,
  type PublishedProxy,
} from "../../client/proxy-list.ts";
import { parseRelayUrl } from "../../protocol/keys.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { durationSeconds } from "../duration.ts";
import { egressLine, makeCredential, operatorFor, tell } from "../credential.ts";
import { assertProxyTargets } from "../proxy-targets.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast proxy-url --allow TARGET [--allow TARGET …] --ttl TIME [options]

Makes the URL of the relay's proxy for software that can be given a proxy and nothing else, as in HTTPS_PROXY, and writes it
to stdout: https://<client id>:<token>@proxy.example.com:9443. The password is a scope token, signed with the key in
HOLDFAST_URL; without a key there it lives 15 min at most. Whoever has the URL can use it: treat it as a password. How to
revoke it is told on stderr. docs/proxy.md tells which software takes which URL.

      --allow TARGET   what it opens: https://api.bank.com, tcp://db.example.com:5432, or for requests without TLS
                       http://legacy.example.com/v1/*; may be repeated. The client's own list has to admit it, too
      --ttl TIME       how long it lives: 90d, 12h, 30m or 60s
      --scheme SCHEME  https (the default), http or socks5h; the last two show the password to whoever listens on the way
      --handle         a short handle in the token's place; socks5h has one always. It is made with the deployment's
                       operator key
      --node ID        the node that is to be used; may be repeated
  -o, --out DIR        the deployment's folder, for its operator key; default ${DEFAULT_OUT}

Exit codes: 0 the URL was written, 1 it can't be made, 2 wrong usage.
`;

const ANSWER_SECONDS = 15;

interface ProxyUrlArguments {
  readonly allow: readonly string[];
  readonly ttlSeconds: number;
  readonly scheme: ProxyScheme;
  readonly handle: boolean;
  readonly node: readonly string[] | undefined;
  /** The deployment's folder. */
  readonly dir: string;
}

/** `holdfast proxy-url`: what goes into HTTPS_PROXY. */
export const proxyUrlCommand: Command = {
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
async function make(asked: ProxyUrlArguments, relayUrl: string | undefined): Promise<string> {
  const { allow, ttlSeconds, scheme, node, dir } = asked;
  const { edge, clientId } = parseRelayUrl(relayUrl);
  assertProxyTargets(allow, scheme);
  const operator = asked.handle ? await operatorOf(dir, edge, scheme) : undefined;
  const signal = AbortSignal.timeout(ANSWER_SECONDS * 1_000);
  const addresses = egressLine(edge, node, signal);
  const { authority } = choose(await fetchProxies(edge, { signal }), scheme, edge);
  const options = { act: "proxy", allow, ttlSeconds, ...(node !== undefined && { node }) } as const;
  const password = await makeCredential(relayUrl, options, { dir, operator });
  tell(await addresses);
  if (node !== undefined) {
    tell(`${authority} has to lead to ${node.join(", ")} alone: any other node refuses this password`);
  }
  if (scheme !== "https") {
    tell("the password crosses the network in the clear: whoever reads it there can use it too");
  }
  return `${scheme}://${clientId}:${password}@${authority}`;
}

/** @throws RelayError `request_invalid` */
function choose(proxies: readonly PublishedProxy[], scheme: ProxyScheme, edge: string): PublishedProxy {
  const proxy = proxies.find((one) => one.scheme === scheme);
  if (proxy !== undefined) return proxy;
  const others = [...new Set(proxies.map((one) => one.scheme))];
  throw new RelayError(
    "request_invalid",
    others.length === 0
      ? `${edge} publishes no proxy: its operator opens the nodes' proxy door and lists it in PROXY_URLS, as docs/proxy.md tells`
      : `${edge} publishes no ${scheme} proxy: say --scheme ${others.join(" or ")}, or have its operator open one`,
  );
}

/** @throws Error that says what a handle needs */
async function operatorOf(dir: string, edge: string, scheme: ProxyScheme): Promise<Operator> {
  try {
    return await operatorFor(dir, edge);
  } catch (error) {
    if (scheme !== "socks5h" || !isRelayError(error)) throw error;
    const why = "a SOCKS password has at most 255 bytes, so it is a handle";
    throw new RelayError("request_invalid", `${why}; ${error.detail}`);
  }
}

/** @throws UsageError */
function parse(args: readonly string[]): ProxyUrlArguments {
  const { allow, ttl = "", scheme: named = "https", handle = false, node, out } = parseOptions(args);
  if (allow === undefined) throw new UsageError("name at least one target with --allow");
  const ttlSeconds = durationSeconds(ttl);
  if (ttlSeconds === undefined) throw new UsageError("say how long it lives: --ttl 90d, 12h, 30m or 60s");
  const scheme = PROXY_SCHEMES.find((one) => one === named);
  if (scheme === undefined) throw new UsageError(`--scheme takes ${PROXY_SCHEMES.join(", ")}`);
  return {
    allow,
    ttlSeconds,
    scheme,
    handle: handle || scheme === "socks5h",
    node,
    dir: resolve(out ?? DEFAULT_OUT),
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        allow: { type: "string", multiple: true },
        ttl: { type: "string" },
        scheme: { type: "string" },
        handle: { type: "boolean" },
        node: { type: "string", multiple: true },
        out: { type: "string", short: "o" },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
