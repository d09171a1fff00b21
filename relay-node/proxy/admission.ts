import { Counter, Gauge, type Registry } from "prom-client";
import type { RelayError } from "../../protocol/errors.ts";
import { type CapSizes, ConnectionCaps } from "../connection-caps.ts";
import { PROXY_LISTENER, PROXY_STRANGERS_MAX, PROXY_STRANGERS_PER_SENDER } from "./limits.ts";
import { carrierOf } from "../reset.ts";
import type { Connection } from "../tcp/connection.ts";
import { Strangers } from "./strangers.ts";

/** How many connections there may be, and how many of them strangers'; what the limits have where nothing else is said. */
export type AdmissionSizes = Partial<
  CapSizes & { readonly strangers: number; readonly strangersPerSender: number }
>;

/** Which connections the listeners of the proxy door may have, all together. */
export class Admission {
  readonly #caps: ConnectionCaps;
  readonly #strangers: Strangers;
  readonly #refused: Counter;

  constructor(registry: Registry, sizes: AdmissionSizes = {}) {
    const caps = new ConnectionCaps({ ...PROXY_LISTENER, ...sizes });
    const strangers = new Strangers({
      inAll: sizes.strangers ?? PROXY_STRANGERS_MAX,
      perSender: sizes.strangersPerSender ?? PROXY_STRANGERS_PER_SENDER,
    });
    this.#caps = caps;
    this.#strangers = strangers;
    const registers = [registry];
    this.#refused = new Counter({
      name: "holdfast_proxy_refused_total",
      help: "What was refused at the proxy door before it was a request for anything, by code",
      labelNames: ["reason"],
      registers,
    });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `holdfast_proxy_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge("connections", "Open connections to the proxy door", () => caps.size);
    gauge("strangers", "Those of them that have shown no valid credentials yet", () => strangers.size);
  }

  /** Connections that are open. */
  get size(): number {
    return this.#caps.size;
  }

  /** Takes one that was accepted, or destroys it, where there are too many. */
  stranger(connection: Connection & { readonly remoteAddress?: string | undefined }): void {
    // It came as another.
    if (this.#caps.has(connection)) return;
    if (this.#caps.admit(connection)) this.#strangers.enter(connection);
  }

  /** One goes on as another, which is as old as it. */
  replace(connection: Connection, next: Connection): void {
    this.#caps.replace(connection, next);
    this.#strangers.replace(connection, next);
  }

  /** Its user's credentials were found good. */
  known(connection: Connection): void {
    this.#strangers.known(carrierOf(connection));
  }

  /** Counts what can't be a request of any user's. */
  refused(error: RelayError): void {
    this.#refused.inc({ reason: error.code });
  }

  /** Cuts all that there are. */
  cut(): void {
    this.#caps.cut();
  }
}
