import { parseOptions, relayUrlHere, viaHere } from "../agent/agent-arguments.ts";
import { authorityOf, destination, type Listen, parseDestinations } from "../agent/destinations.ts";
import { startListeners } from "../agent/listeners.ts";
import { LOOPBACK } from "../agent/loopback.ts";
import { tell } from "../agent/messages.ts";
import { runService } from "../agent/service.ts";
import { type Command, EXIT, UsageError } from "../command.ts";

const help = `Usage: holdfast tunnel [options] <host:port>

Listens on this machine and lets every connection go on to host:port from the relay's address, until a signal comes. The
listener's address is the one line on stdout. Anybody on this machine can use it.

      --listen [ADDRESS:]PORT  where to listen, in 127.0.0.0/8; default any free port of 127.0.0.1
      --via WAY                how nodes are come to: edge, or direct (straight to them, under a grant of the edge's)
      --require                fail while the relay can't be reached

Exit codes: 0 ended by a signal, 2 wrong usage, ${EXIT.unavailable} the relay can't be reached and has to be, ${EXIT.refused} the relay refuses the token,
${EXIT.agentFailed} this machine can't do it.
`;

const OPTIONS = {
  listen: { type: "string" },
  via: { type: "string" },
  require: { type: "boolean" },
} as const;

/** `holdfast tunnel`: one listener for one destination. */
export const tunnelCommand: Command = {
  help,
  run: async (args) => {
    const { values, positionals } = parseOptions(args, OPTIONS, true);
    const { host, port } = oneDestination(positionals);
    const listen = parseListen(values.listen);
    const via = viaHere(values.via);
    const relayUrl = await relayUrlHere();
    return runService({ relayUrl, via, requireRelay: values.require === true }, async ({ open, expect }) => {
      // Port 0 is any that is free.
      const at = { address: "127.0.0.1", port: 0, ...listen };
      const { routes, close } = await startListeners(
        [destination(host, port, { listen: at, named: false })],
        open,
        { log: tell },
      );
      expect({ host, port });
      return { lines: routes.map((route) => authorityOf({ host: route.address, port: route.port })), close };
    });
  },
};

/** @throws UsageError */
function oneDestination(words: readonly string[]): { readonly host: string; readonly port: number } {
  let found;
  try {
    found = parseDestinations(words.join(","));
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
  const [only, ...more] = found.destinations;
  if (only === undefined || more.length + found.services.length > 0) {
    throw new UsageError("name one destination, as in db.example.com:5432");
  }
  return only;
}

/** @throws UsageError */
export function parseListen(text: string | undefined): Listen {
  if (text === undefined) return {};
  const [, address, digits] = /^(?:([0-9.]+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535 || (address !== undefined && !LOOPBACK.test(address))) {
    throw new UsageError("--listen takes a port, or an address in 127.0.0.0/8 and a port: 127.0.0.1:5432");
  }
  return { ...(address !== undefined && { address }), ...(port > 0 && { port }) };
}
