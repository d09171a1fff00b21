import type { Accepted, DeliveryDetail } from "../protocol/deliveries.ts";
import { connectStream, type RelayConnection } from "./connect.ts";
import { delivery, type DeliveryAsk } from "./delivery.ts";
import { enqueue, type EnqueueInit } from "./enqueue.ts";
import { makeFetch } from "./fetch.ts";
import { parseHosts } from "./hosts.ts";
import { NodeKeys } from "./node-keys.ts";
import type { IdentityOptions } from "./platforms/options.ts";
import { parseEgress } from "./receipts.ts";
import { createSigner } from "./signer.ts";
import type { StreamTarget } from "./stream-session.ts";
import { openWebWire } from "./web-wire.ts";
import type { Fetch } from "./wire.ts";

/** All of them may be left out. */
export interface RelayOptions extends IdentityOptions {
  /**
   * Only these hosts go through the relay, the rest direct: exact hosts (`api.bank.com`) or every subdomain of a suffix
   * (`*.vendor.io`). Without it everything goes through the relay.
   */
  readonly hosts?: readonly string[];
  /** Undo Content-Encoding, as a native fetch does. Default: true. */
  readonly decompress?: boolean;
  /** The one node, or the few, that may make the calls. Default: the edge chooses of all in the client's pool. */
  readonly node?: string | readonly string[];
  /**
   * Making one of these calls twice is the same as making it once, whatever its method, for instance because it carries a
   * key by which the target knows it again: it may then be tried at another node although the first may have begun.
   * Default: false, which leaves GET, HEAD, OPTIONS, QUERY, PUT and DELETE.
   */
  readonly idempotent?: boolean;
  /**
   * Ask for a receipt of every call, and verify it by the key that its node has published at the edge: what it says is
   * `relayInfo(response).receipt`. An answer without a good one throws `receipt_invalid`. Default: false.
   */
  readonly receipt?: boolean;
  /**
   * The addresses that calls may leave from, as they stand in the target's allowlist. Implies `receipt`; an answer whose
   * receipt names another one throws `egress_not_listed`, and its body is discarded. Default: any.
   */
  readonly egress?: readonly string[];
  /** The fetch to use underneath. Default: `globalThis.fetch`, looked up at each call. */
  readonly fetch?: Fetch;
  /** The clock: milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** A client of one relay. */
export interface Relay {
  /** A drop-in `fetch`; needs no `this`, so it can be passed on as it is. */
  readonly fetch: Fetch;
  /**
   * Opens a TCP connection by the relay, whatever `hosts` says, and returns at once. Writing waits until there is room, and a reader that
   * stops slows the target. When the path breaks, the connection goes on by another one, for as long as its node keeps it;
   * not one byte is lost or doubled.
   *
   * @example
   * const { readable, writable, opened } = relay.connect({ host: "db.example.com", port: 5432 });
   * const { egress } = await opened; // "203.0.113.7"
   */
  readonly connect: (target: StreamTarget) => RelayConnection;
  /**
   * Hands a request over that the relay is to make later, and as often as it takes: whatever `hosts` says, and even if whoever asked
   * is long gone. It arrives at least once, so give the target a way to know it again.
   *
   * @example
   * const { id } = await relay.enqueue("https://api.bank.com/v1/payments", {
   *   method: "POST",
   *   headers: { "Idempotency-Key": order.id },
   *   body: JSON.stringify(payment),
   *   key: `payment ${order.id}`,
   *   callback: "https://shop.example.com/relay/done",
   * });
   */
  readonly enqueue: (input: string | URL | Request, init?: EnqueueInit) => Promise<Accepted>;
  /**
   * Tells how a delivery of this client's is.
   *
   * @example
   * const { state, attempts, answer } = await relay.delivery(id);
   * if (state === "dead") alert(`the bank said ${answer?.status}`);
   */
  readonly delivery: (id: string, ask?: DeliveryAsk) => Promise<DeliveryDetail>;
  readonly clientId: string;
  /** The edge's origin. */
  readonly edge: string;
}

/**
 * Makes a client out of `HOLDFAST_URL`. Nothing is sent, and no key is read, before the first call.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`, or `https://<client-id>@<edge host>` where the platform tells who is asking
 * @throws RelayError `request_invalid` where the URL or an entry of `hosts` or `egress` is not valid
 * @example
 * const relay = createRelay(process.env.HOLDFAST_URL, { hosts: ["api.bank.com"] });
 * const response = await relay.fetch("https://api.bank.com/v1/balance");
 * @example
 * const relay = createRelay(process.env.HOLDFAST_URL, { egress: ["203.0.113.10", "203.0.113.20"] });
 * @example
 * const openai = new OpenAI({ fetch: createRelay(process.env.HOLDFAST_URL).fetch });
 * @example
 * const relay = createRelay("https://shop@edge.example.com", { identityToken: (audience) => getVercelOidcToken({ audience }) });
 */
export function createRelay(url: string | undefined, options: RelayOptions = {}): Relay {
  const { edge, clientId, sign, refused } = createSigner(url, options);
  const now = options.now ?? Date.now;
  const underlying = () => options.fetch ?? globalThis.fetch;
  const egress = options.egress === undefined ? undefined : parseEgress(options.egress);
  const asksForReceipt = egress !== undefined || options.receipt === true;
  const signer = { edge, clientId, sign, refused, node: options.node, now };
  const fetch = makeFetch({
    ...signer,
    idempotent: options.idempotent ?? false,
    receipts: asksForReceipt
      ? { edge, clientId, egress, keys: new NodeKeys({ edge, underlying, now }) }
      : undefined,
    relayed: options.hosts === undefined ? undefined : parseHosts(options.hosts),
    decompress: options.decompress ?? true,
    underlying,
  });
  const connect = (target: StreamTarget) =>
    connectStream(target, { ...signer, openWire: openWebWire, underlying });
  const durable = { edge, clientId, sign, refused, now, underlying };
  return {
    fetch,
    connect,
    enqueue: (input, init = {}) => enqueue(input, init, durable),
    delivery: (id, ask = {}) => delivery(id, ask, durable),
    clientId,
    edge,
  };
}
