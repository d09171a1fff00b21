import type { LookupFunction } from "node:net";
import type { SecureContext } from "node:tls";
import { importJWK, type JWK } from "jose";
import type { Dispatcher } from "undici";
import { WIRE } from "../../protocol/headers.ts";
import type { BoundKey } from "../../protocol/keys.ts";
import { type NodeMessageAct, type PeerAct, signNodeMessage } from "../../protocol/node-messages.ts";
import type { ProxyQuestion } from "../../protocol/proxy-grants.ts";
import {
  PROXY_ANSWER_MAX_BYTES,
  PROXY_AUTHORIZE_MS,
  PROXY_EDGE_CONNECTIONS,
  PROXY_EDGE_IDLE_MS,
} from "./limits.ts";
import { Pool, requestBy } from "../undici.ts";
import type { EdgeAnswer } from "./edge-answer.ts";

/** What an edge client is made of. */
export interface EdgeClientOptions {
  /** The edge's origin. */
  readonly edge: string;
  /** This node's id and private key. */
  readonly id: string;
  readonly signingKey: JWK;
  readonly secureContext: SecureContext;
  /** How long an answer may take as a whole. */
  readonly answerMs?: number;
  /** Looks the edge's name up; the system does where it is left out. */
  readonly lookup?: LookupFunction;
}

/** How a connection shows that the other end had closed it before the question came. */
const CONNECTION_LOST: ReadonlySet<unknown> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

/** A message to the edge: what it is, and where it goes. */
export interface EdgeCall {
  readonly act: Exclude<NodeMessageAct, PeerAct>;
  readonly path: string;
  /** JSON. */
  readonly body: string;
}

/** Asks the edge, over connections that are kept. */
export class EdgeClient {
  readonly #options: EdgeClientOptions;
  readonly #pool: Pool;
  #key: Promise<BoundKey> | undefined;

  constructor(options: EdgeClientOptions) {
    const { edge, secureContext, answerMs = PROXY_AUTHORIZE_MS, lookup } = options;
    this.#options = options;
    this.#pool = new Pool(edge, {
      connections: PROXY_EDGE_CONNECTIONS,
      allowH2: false,
      keepAliveTimeout: PROXY_EDGE_IDLE_MS,
      connect: { secureContext, timeout: answerMs, ...(lookup !== undefined && { lookup }) },
    });
  }

  /** Asks who may use the proxy; times and errors as of `call`. */
  ask(question: ProxyQuestion, now: number, signal: AbortSignal): Promise<EdgeAnswer> {
    return this.call({ act: "authorize", path: "/authorize", body: JSON.stringify(question) }, now, signal);
  }

  /**
   * Sends a message that may come twice.
   *
   * @param now seconds since 1970
   * @throws Error with a `code` or a `name` that says why, as `causeOf` reads it: the connection's failure, the deadline, the
   *   signal, an answer that is too long
   */
  async call({ act, path, body: text }: EdgeCall, now: number, signal: AbortSignal): Promise<EdgeAnswer> {
    const { id, edge, answerMs = PROXY_AUTHORIZE_MS } = this.#options;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    const body = Uint8Array.from(Buffer.from(text));
    const token = await signNodeMessage({ from: id, to: edge, act, body }, await this.#signingKey(), now);
    const send = () =>
      requestBy(this.#pool, {
        method: "POST",
        path,
        headers: { [WIRE.authorization]: `Bearer ${token}`, "content-type": "application/json" },
        body,
        signal: deadline,
      });
    return read(await send().catch((error: unknown) => again(error, send)));
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #signingKey(): Promise<BoundKey> {
    this.#key ??= importJWK(this.#options.signingKey, "Ed25519").then((key) => ({
      alg: "Ed25519",
      key: key as CryptoKey,
    }));
    return this.#key;
  }
}

/** A question changes nothing, so that one that met a connection's end is asked once more, over another one. */
async function again(
  error: unknown,
  send: () => Promise<Dispatcher.ResponseData>,
): Promise<Dispatcher.ResponseData> {
  if (CONNECTION_LOST.has((error as NodeJS.ErrnoException).code)) return send();
  throw error;
}

async function read({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<EdgeAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop early closes the connection.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > PROXY_ANSWER_MAX_BYTES) {
      throw Object.assign(new Error("the answer is too long"), { code: "answer_too_long" });
    }
    chunks.push(chunk);
  }
  return {
    status: statusCode,
    field: (name) => {
      const value = headers[name];
      return typeof value === "string" ? value : null;
    },
    text: Buffer.concat(chunks).toString("utf8"),
  };
}
