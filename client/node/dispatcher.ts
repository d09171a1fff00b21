import { Agent, buildConnector, type Dispatcher } from "undici";
import { passOnRef } from "./keep-alive.ts";
import { createSockets, type SocketsOptions } from "./sockets.ts";

/** As for `new Agent()` of undici; `connect` holds what TLS is to be like, for instance a `ca`. */
export interface DispatcherAgentOptions extends Omit<Agent.Options, "connect"> {
  readonly connect?: buildConnector.BuildOptions;
}

/**
 * A dispatcher for undici and for the `fetch` that Node has built in: its connections go by the relay, and TLS is the app's own
 * with the target. Hosts that `hosts` doesn't name go direct.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL or an entry of `hosts` is not valid
 * @example
 * const dispatcher = createDispatcher(process.env.HOLDFAST_URL, { hosts: ["api.bank.com"] });
 * await fetch("https://api.bank.com/v1/balance", { dispatcher });
 */
export function createDispatcher(
  url: string | undefined,
  options?: SocketsOptions,
  { connect, ...agentOptions }: DispatcherAgentOptions = {},
): Dispatcher {
  const sockets = createSockets(url, options);
  const build: buildConnector.BuildOptions = {
    ...(agentOptions.allowH2 !== undefined && { allowH2: agentOptions.allowH2 }),
    ...(agentOptions.maxCachedSessions !== undefined && {
      maxCachedSessions: agentOptions.maxCachedSessions,
    }),
    ...(agentOptions.connectTimeout !== undefined && { timeout: agentOptions.connectTimeout }),
    ...connect,
  };
  const connector = buildConnector(build);
  const byRelay: buildConnector.connector = (target, callback) => {
    const { hostname, port, protocol } = target;
    if (!sockets.relays(hostname)) return connector(target, callback);
    const isSecure = protocol === "https:";
    const socket = sockets.connect({
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(port) || (isSecure ? 443 : 80),
    });
    if (isSecure) {
      connector({ ...target, httpSocket: socket as never }, (...outcome) => {
        passOnRef(outcome[1], socket);
        callback(...outcome);
      });
      return;
    }
    const failed = (error: Error) => callback(error, null);
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      callback(null, socket as never);
    });
  };
  return new Agent({ ...agentOptions, connect: byRelay });
}
