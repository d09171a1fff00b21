import type { SecureContext } from "node:tls";
import type { Dispatcher } from "undici";
import { WIRE } from "../protocol/headers.ts";
import type { BoundKey } from "../protocol/keys.ts";
import { type PeerAct, signNodeMessage } from "../protocol/node-messages.ts";
import { Pool, requestBy } from "./undici.ts";
import type { Peer } from "./config.ts";
import { CONSUMED_IN_FLIGHT, CONSUMED_SEND_MS } from "./limits.ts";

/** This node, as its peers know it. */
export interface Self {
  readonly id: string;
  readonly key: BoundKey;
  /** Seconds since 1970. */
  readonly now: () => number;
}

const PATHS: Readonly<Record<PeerAct, string>> = {
  consumed: "/consumed",
  "consumed-read": "/consumed/read",
};

/** Speaks to one other node, over connections that are kept. */
export class PeerClient {
  readonly id: string;
  readonly #self: Self;
  readonly #pool: Pool;

  constructor(peer: Peer, self: Self, secureContext: SecureContext) {
    this.id = peer.id;
    this.#self = self;
    this.#pool = new Pool(peer.url, {
      connections: CONSUMED_IN_FLIGHT,
      allowH2: false,
      connect: { secureContext, timeout: CONSUMED_SEND_MS },
    });
  }

  /**
   * Sends one signed message.
   * @returns the answer's body, which has to be read or dumped
   * @throws Error with a `code`: the connection's failure, or what the peer refused it with
   */
  async send(
    act: PeerAct,
    body: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData["body"]> {
    const { id, key, now } = this.#self;
    const token = await signNodeMessage({ from: id, to: this.id, act, body }, key, now());
    const answer = await requestBy(this.#pool, {
      method: "POST",
      path: PATHS[act],
      headers: { [WIRE.authorization]: `Bearer ${token}`, "content-type": "text/plain" },
      body,
      signal,
    });
    if (answer.statusCode === 200 || answer.statusCode === 204) return answer.body;
    await answer.body.dump();
    throw Object.assign(new Error("the peer refused"), { code: refusal(answer) });
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** What a log may say of why a message failed: a message of the system's or a library's could quote anything. */
export function causeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  return typeof code === "string" ? code : name;
}

/** The peer's own code, where it is one: what else stands there may not be fit for a log. */
function refusal({ statusCode, headers }: Dispatcher.ResponseData): string {
  const code = headers[WIRE.error];
  return typeof code === "string" && /^[a-z_]{1,40}$/.test(code) ? code : `status ${statusCode}`;
}
