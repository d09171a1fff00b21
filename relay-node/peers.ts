import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { SecureContext } from "node:tls";
import { importJWK } from "jose";
import type { Logger } from "pino";
import { Gauge, type Registry } from "prom-client";
import { importPublicKey } from "../protocol/keys.ts";
import type { PeerAct } from "../protocol/node-messages.ts";
import type { NodeConfig } from "./config.ts";
import type { ConsumedIds } from "./consumed.ts";
import { CONSUMED_FLUSH_MS, CONSUMED_READ_MS } from "./limits.ts";
import { causeOf, PeerClient, type Self } from "./peer-client.ts";
import { PeerDoor } from "./peer-door.ts";
import { PeerLink } from "./peer-link.ts";
import { readMemory } from "./peer-memory.ts";

/** The other nodes of the pool: they are told which ids were used here, and tell which were used there. */
export class Peers {
  readonly #links: ReadonlyMap<string, PeerLink>;
  readonly #door: PeerDoor;
  readonly #consumed: ConsumedIds;
  readonly #self: Self;
  readonly #log: Logger;

  private constructor(
    links: ReadonlyMap<string, PeerLink>,
    door: PeerDoor,
    consumed: ConsumedIds,
    self: Self,
    log: Logger,
  ) {
    this.#links = links;
    this.#door = door;
    this.#consumed = consumed;
    this.#self = self;
    this.#log = log;
    consumed.tell = (text, count, now) => {
      for (const link of links.values()) link.tell(text, count, now);
    };
  }

  /**
   * From now on, every id that is consumed is told.
   * @param tls of `relayTls`
   * @param now seconds since 1970
   * @throws RelayError `request_invalid` where a key can't be imported
   */
  static async open(
    config: NodeConfig,
    consumed: ConsumedIds,
    tls: SecureContext,
    now: () => number,
    log: Logger,
  ): Promise<Peers> {
    const key = (await importJWK(config.signingKey, "Ed25519")) as CryptoKey;
    const self: Self = { id: config.id, key: { alg: "Ed25519", key }, now };
    const keys = new Map(
      await Promise.all(
        config.peers.map(async (peer) => [peer.id, await importPublicKey(peer.key)] as const),
      ),
    );
    const links = new Map(
      config.peers.map((peer) => [peer.id, new PeerLink(new PeerClient(peer, self, tls), now, log)]),
    );
    const door = new PeerDoor({ self, keys, consumed, onPeer: (id) => links.get(id)?.nudge() });
    return new Peers(links, door, consumed, self, log);
  }

  /** `POST /consumed` and `POST /consumed/read`. */
  serve(request: IncomingMessage, response: ServerResponse, act: PeerAct): Promise<void> {
    return this.#door.serve(request, response, act);
  }

  /**
   * Reads what the peers remember, all at once, before this node serves. One that can't be asked may have used any id
   * issued until now, so those are refused; new ones are taken, however long it stays away.
   */
  async read(): Promise<void> {
    const signal = AbortSignal.timeout(CONSUMED_READ_MS);
    const { now } = this.#self;
    await Promise.all(
      [...this.#links.values()].map(async ({ client }) => {
        try {
          await readMemory(client, this.#consumed, now, signal);
        } catch (error) {
          // Times are whole seconds: what was issued in the present one may have been used before, so it is waited for.
          const moment = now() + 1;
          this.#consumed.refuseBefore(moment);
          this.#log.warn(
            { peer: client.id, cause: causeOf(error) },
            "peer not read: requests issued before now are refused",
          );
          while (now() < moment) await pause(20);
        }
      }),
    );
  }

  /** Adds how many ids wait, by peer. */
  measure(registry: Registry): void {
    const links = this.#links;
    registry.registerMetric(
      new Gauge({
        name: "holdfast_consumed_queued",
        help: "Used request ids that a peer has yet to be told",
        labelNames: ["peer"],
        registers: [],
        collect() {
          for (const [peer, { queued }] of links) this.set({ peer }, queued);
        },
      }),
    );
  }

  /** Tells what is left, for a moment, and closes. */
  async close(): Promise<void> {
    const deadline = AbortSignal.timeout(CONSUMED_FLUSH_MS);
    await Promise.all([...this.#links.values()].map((link) => link.close(deadline)));
  }
}
