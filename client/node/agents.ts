import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { passOnRef } from "./keep-alive.ts";
import { createSockets, type Sockets, type SocketsOptions } from "./sockets.ts";

type Callback = (error: Error | null, socket: Duplex) => void;

/**
 * An agent for `https:` whose connections go by the relay: TLS is the app's own with the target, so that the relay sees no
 * plaintext. Hosts that `hosts` doesn't name go direct.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @param agentOptions as for `new https.Agent()`
 * @throws RelayError `request_invalid` where the URL or an entry of `hosts` is not valid
 * @example
 * const agent = createAgent(process.env.HOLDFAST_URL, { hosts: ["api.bank.com"] }, { keepAlive: true });
 * https.get("https://api.bank.com/v1/balance", { agent }, (response) => response.pipe(process.stdout));
 */
export function createAgent(
  url: string | undefined,
  options?: SocketsOptions,
  agentOptions?: https.AgentOptions,
): https.Agent {
  return new SecureRelayAgent(createSockets(url, options), agentOptions);
}

/**
 * The same for `http:`, where the relay carries the plaintext that it is given.
 *
 * @example
 * const agent = createHttpAgent(process.env.HOLDFAST_URL);
 * http.get("http://legacy.example.com/", { agent }, (response) => response.pipe(process.stdout));
 */
export function createHttpAgent(
  url: string | undefined,
  options?: SocketsOptions,
  agentOptions?: http.AgentOptions,
): http.Agent {
  return new RelayAgent(createSockets(url, options), agentOptions);
}

class SecureRelayAgent extends https.Agent {
  readonly #relay: Sockets;

  constructor(relay: Sockets, options?: https.AgentOptions) {
    super(options);
    this.#relay = relay;
  }

  override createConnection(options: https.RequestOptions, callback?: Callback): Duplex | null | undefined {
    const target = relayed(this.#relay, options, 443);
    if (target === undefined) return super.createConnection(options, callback);
    const socket = this.#relay.connect(target);
    const secure = super.createConnection({ ...options, socket } as https.RequestOptions, callback);
    passOnRef(secure, socket);
    return secure;
  }
}

class RelayAgent extends http.Agent {
  readonly #relay: Sockets;

  constructor(relay: Sockets, options?: http.AgentOptions) {
    super(options);
    this.#relay = relay;
  }

  override createConnection(options: http.ClientRequestArgs, callback?: Callback): Duplex | null | undefined {
    const target = relayed(this.#relay, options, 80);
    return target === undefined ? super.createConnection(options, callback) : this.#relay.connect(target);
  }
}

/** What the relay is to connect to; undefined for what goes direct: other hosts, and sockets of the system's own. */
function relayed(
  relay: Sockets,
  { host, port, socketPath }: http.ClientRequestArgs,
  defaultPort: number,
): { readonly host: string; readonly port: number } | undefined {
  if (host === undefined || host === null || (socketPath !== undefined && socketPath !== null)) {
    return undefined;
  }
  if (!relay.relays(host)) return undefined;
  return { host, port: Number(port ?? defaultPort) };
}
