import type { LookupFunction } from "node:net";
import type { SecureContext } from "node:tls";
import { importJWK, type JWK } from "jose";
import type { Dispatcher } from "undici";
import { WIRE } from "../protocol/headers.ts";
import type { BoundKey } from "../protocol/keys.ts";
import { type EdgeAct, signNodeMessage } from "../protocol/node-messages.ts";
import { EDGE_ANSWER_MS, EDGE_CONNECTIONS, EDGE_IDLE_MS } from "./limits.ts";
import { Pool, requestBy } from "./undici.ts";

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

/** A message to the edge: what it is, and where it goes. */
export interface EdgeCall {
  readonly act: EdgeAct;
  /** With its query. */
  readonly path: string;
  /** JSON, which is posted; without one it is asked for by GET. */
  readonly body?: string;
  /** What the answer may hold. */
  readonly maxBytes: number;
}

/** An answer of the edge's, as it came. */
export interface EdgeAnswer {
  readonly status: number;
  /** A field's value, by its name in lower case. */
  readonly field: (name: string) => string | null;
  readonly text: string;
}

/** The code that an answer refuses with; its status where there is none that is fit for a log. */
export function refusalOf({ status, field }: EdgeAnswer): string {
  const code = field(WIRE.error);
  return code !== null && /^[a-z0-9_]{1,40}$/.test(code) ? code : `status ${status}`;
}

/** How a connection shows that the other end had closed it before the question came. */
const CONNECTION_LOST: ReadonlySet<unknown> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

/** Asks the edge, in this node's name, over connections that are kept. */
export class EdgeClient {
  readonly #options: EdgeClientOptions;
  readonly #pool: Pool;
  #key: Promise<BoundKey> | undefined;

  constructor(options: EdgeClientOptions) {
    const { edge, secureContext, answerMs = EDGE_ANSWER_MS, lookup } = options;
    this.#options = options;
    this.#pool = new Pool(edge, {
      connections: EDGE_CONNECTIONS,
      allowH2: false,
      keepAliveTimeout: EDGE_IDLE_MS,
      connect: { secureContext, timeout: answerMs, ...(lookup !== undefined && { lookup }) },
    });
  }

  /**
   * Sends a message that may come twice.
   *
   * @param now seconds since 1970
   * @throws Error with a `code` or a `name` that says why, as `causeOf` reads it: the connection's failure, the deadline, the
   *   signal, an answer that is too long
   */
  async call(call: EdgeCall, now: number, signal: AbortSignal): Promise<EdgeAnswer> {
    const { act, path, body: text, maxBytes } = call;
    const { id, edge, answerMs = EDGE_ANSWER_MS } = this.#options;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    const body = Uint8Array.from(Buffer.from(text ?? ""));
    const token = await signNodeMessage({ from: id, to: edge, act, body }, await this.#signingKey(), now);
    const authorization = { [WIRE.authorization]: `Bearer ${token}` };
    const send = () =>
      requestBy(this.#pool, {
        path,
        signal: deadline,
        ...(text === undefined
          ? { method: "GET", headers: authorization }
          : { method: "POST", headers: { ...authorization, "content-type": "application/json" }, body }),
      });
    return read(await send().catch((error: unknown) => again(error, send)), maxBytes);
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

async function read(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  maxBytes: number,
): Promise<EdgeAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop early closes the connection.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
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
