import { parseOptions, relayUrlHere, settingsHere, VIA_HELP } from "../agent/agent-arguments.ts";
import { startLocalProxies } from "../agent/local-proxies.ts";
import { tell } from "../agent/messages.ts";
import { PROXY_PASSWORD_MIN, SOCKS_PASSWORD_MAX_BYTES } from "../agent/limits.ts";
import { proxyCredentials } from "../../client/node/proxy/credentials.ts";
import { runService } from "../agent/service.ts";
import { type Command, EXIT, UsageError } from "../command.ts";

const help = `Usage: holdfast proxy [options]

Runs an HTTP proxy (CONNECT and plain) and a SOCKS 5 proxy on 127.0.0.1 until a signal comes, and writes their URLs to
stdout as variables. They want a password: HOLDFAST_PROXY_PASSWORD, or one that is made for the run.

      --to LIST          destinations that go by the relay: host:port or URLs, by commas; may be repeated
      --hosts LIST       hosts that go by the relay, whatever port: api.bank.com, *.vendor.io; the rest goes direct
${VIA_HELP}
      --config FILE      in place of holdfast.toml in this folder
      --port PORT        of the HTTP proxy; default any that is free
      --socks-port PORT  of the SOCKS proxy; default any that is free
      --require          fail while the relay can't be reached

Exit codes: 0 ended by a signal, 2 wrong usage, ${EXIT.unavailable} the relay can't be reached and has to be, ${EXIT.refused} the relay refuses the token,
${EXIT.agentFailed} this machine can't do it.
`;

const OPTIONS = {
  to: { type: "string", multiple: true },
  hosts: { type: "string", multiple: true },
  via: { type: "string" },
  config: { type: "string" },
  port: { type: "string" },
  "socks-port": { type: "string" },
  require: { type: "boolean" },
} as const;

/** `holdfast proxy`: the local proxies without a command. */
export const proxyCommand: Command = {
  help,
  run: async (args) => {
    const { values } = parseOptions(args, OPTIONS);
    const { hosts, destinations, services, via } = settingsHere(values);
    const ports = { port: portOf(values, "port"), socksPort: portOf(values, "socks-port") };
    const credentials = proxyCredentials(givenPassword(process.env["HOLDFAST_PROXY_PASSWORD"]));
    const relayUrl = await relayUrlHere();
    const left = services.join(", ");
    if (left !== "") tell(`mongodb+srv:// names are for holdfast run: ${left} left out`);
    return runService({ relayUrl, via, requireRelay: values.require === true }, async ({ open }) => {
      const { urls, close } = await startLocalProxies({ open, hosts, destinations, credentials, ...ports });
      return {
        lines: [`HTTP_PROXY=${urls.http}`, `HTTPS_PROXY=${urls.http}`, `ALL_PROXY=${urls.socks}`],
        close,
      };
    });
  },
};

/** @throws UsageError */
export function portOf<Name extends string>(
  values: { readonly [name in Name]?: string | undefined },
  name: Name,
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new UsageError(`--${name} takes a port`);
  return Number(text);
}

/** The value stays unsaid: it may be a password for something else as well. */
function givenPassword(password: string | undefined): string | undefined {
  if (password === undefined || password === "") return undefined;
  const length = Buffer.byteLength(password);
  if (length < PROXY_PASSWORD_MIN || length > SOCKS_PASSWORD_MAX_BYTES) {
    throw new UsageError(
      `HOLDFAST_PROXY_PASSWORD takes ${PROXY_PASSWORD_MIN} to ${SOCKS_PASSWORD_MAX_BYTES} bytes`,
    );
  }
  return password;
}
