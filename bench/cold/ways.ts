import type { LookupFunction } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type Dispatcher, fetch as undiciFetch, ProxyAgent } from "undici";
import { createRelay } from "../../client/index.ts";
import { createDispatcher } from "../../client/node/dispatcher.ts";
import type { Fetch } from "../../client/wire.ts";
import { openerOf } from "../../client/node/opener.ts";
import { createSockets } from "../../client/node/sockets.ts";
import { destination } from "../../cli/agent/destinations.ts";
import { startListeners } from "../../cli/agent/listeners.ts";
import { ADDRESSES, PORTS, PROXY_DOOR, TARGET_ORIGIN } from "./hosts.ts";
import { AHEAD_MS } from "./limits.ts";

/** What a caller is given. */
export interface Access {
  /** HOLDFAST_URL. */
  readonly holdfast: string;
  /** The target's relay URL, without a slash at its end. */
  readonly relayUrl: string;
  /** The password at the proxy door, and its user. */
  readonly user: string;
  readonly password: string;
}

/** A way to the target that has nothing open yet; `close` ends what it opened. */
export interface Way {
  readonly fetch: Fetch;
  readonly close: () => Promise<void>;
  /** What it does before there is a call. */
  readonly ready?: Promise<void>;
}

/** Node's own fetch and undici's are the same code; its dispatchers have to be of the same copy. */
function by(dispatcher: Dispatcher): Way {
  const fetch = (input: string, init: object = {}) => undiciFetch(input, { ...init, dispatcher });
  return { fetch: fetch as unknown as Fetch, close: () => dispatcher.destroy() };
}

/** What `holdfast run` is to a program: a listener on its own machine, from where each connection goes by a stream. */
function byRun(holdfast: string, isAhead: boolean): Way {
  const sockets = createSockets(holdfast);
  const target = destination(new URL(TARGET_ORIGIN).hostname, PORTS.https);
  const starting = startListeners([target], openerOf(sockets), { log: console.error });
  const unexpect = isAhead ? sockets.expect(target) : () => {};
  const lookup: LookupFunction = (_host, _options, done) => {
    void starting.then(({ routes }) => done(null, [{ address: routes[0]!.address, family: 4 }]));
  };
  const { fetch, close } = by(new Agent({ connect: { lookup } }));
  return {
    fetch,
    ready: starting.then(() => sleep(isAhead ? AHEAD_MS : 0)),
    close: async () => {
      await close();
      unexpect();
      await (await starting).close();
    },
  };
}

/** Every way, each time without a connection or a TLS session, as a function has it that has just been started. */
export const WAYS = {
  direct: () => by(new Agent()),
  squid: () => by(new ProxyAgent(`http://${ADDRESSES.proxy}:${PORTS.squid}`)),
  fetch: ({ holdfast }: Access) => {
    const { fetch, close } = by(new Agent());
    return { fetch: createRelay(holdfast, { fetch }).fetch, close };
  },
  url: ({ relayUrl }: Access) => {
    const { fetch, close } = by(new Agent());
    return {
      fetch: ((input: string) => fetch(`${relayUrl}${new URL(input).pathname}`)) as Fetch,
      close,
    };
  },
  proxy: ({ user, password }: Access) => {
    const token = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    return by(new ProxyAgent({ uri: PROXY_DOOR, token }));
  },
  stream: ({ holdfast }: Access) => by(createDispatcher(holdfast)),
  run: ({ holdfast }: Access) => byRun(holdfast, false),
  ahead: ({ holdfast }: Access) => byRun(holdfast, true),
} as const satisfies Readonly<Record<string, (access: Access) => Way>>;

export type WayName = keyof typeof WAYS;
