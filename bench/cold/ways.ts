import { Agent, type Dispatcher, fetch as undiciFetch, ProxyAgent } from "undici";
import { createRelay } from "../../client/index.ts";
import { createDispatcher } from "../../client/node/dispatcher.ts";
import type { Fetch } from "../../client/wire.ts";
import { ADDRESSES, PORTS, PROXY_DOOR } from "./hosts.ts";

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
interface Way {
  readonly fetch: Fetch;
  readonly close: () => Promise<void>;
}

/** Node's own fetch and undici's are the same code; its dispatchers have to be of the same copy. */
function by(dispatcher: Dispatcher): Way {
  const fetch = (input: string, init: object = {}) => undiciFetch(input, { ...init, dispatcher });
  return { fetch: fetch as unknown as Fetch, close: () => dispatcher.destroy() };
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
} as const satisfies Readonly<Record<string, (access: Access) => Way>>;

export type WayName = keyof typeof WAYS;
