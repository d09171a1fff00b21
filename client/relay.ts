import { type BoundKey, importPrivateKey, parseRelayUrl } from "../protocol/keys.ts";
import { makeFetch } from "./fetch.ts";
import { parseHosts } from "./hosts.ts";
import type { Fetch } from "./wire.ts";

/** All of them may be left out. */
export interface RelayOptions {
  /**
   * Only these hosts go through the relay, the rest direct: exact hosts (`api.bank.com`) or every subdomain of a suffix
   * (`*.vendor.io`). Without it everything goes through the relay.
   */
  readonly hosts?: readonly string[];
  /** Undo Content-Encoding, as a native fetch does. Default: true. */
  readonly decompress?: boolean;
  /** The one node that is to make the calls. Default: the edge chooses. */
  readonly node?: string;
  /** The fetch to use underneath. Default: `globalThis.fetch`, looked up at each call. */
  readonly fetch?: Fetch;
  /** The clock: milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** A client of one relay. */
export interface Relay {
  /** A drop-in `fetch`; needs no `this`, so it can be passed on as it is. */
  readonly fetch: Fetch;
  readonly clientId: string;
  /** The edge's origin. */
  readonly edge: string;
}

/**
 * Makes a client out of `HOLDFAST_URL`. Nothing is sent, and no key is read, before the first call.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`
 * @throws RelayError `request_invalid` where the URL or an entry of `hosts` is not valid
 * @example
 * const relay = createRelay(process.env.HOLDFAST_URL, { hosts: ["api.bank.com"] });
 * const response = await relay.fetch("https://api.bank.com/v1/balance");
 * @example
 * const openai = new OpenAI({ fetch: createRelay(process.env.HOLDFAST_URL).fetch });
 */
export function createRelay(url: string | undefined, options: RelayOptions = {}): Relay {
  const { edge, clientId, privateKey } = parseRelayUrl(url);
  // The key is kept and not the promise of it: workerd does not let one request wait for what another began.
  let imported: BoundKey | undefined;
  const fetch = makeFetch({
    edge,
    clientId,
    key: async () => (imported ??= await importPrivateKey(privateKey)),
    node: options.node,
    now: options.now ?? Date.now,
    relayed: options.hosts === undefined ? undefined : parseHosts(options.hosts),
    decompress: options.decompress ?? true,
    underlying: () => options.fetch ?? globalThis.fetch,
  });
  return { fetch, clientId, edge };
}
