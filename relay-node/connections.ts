import type { Dispatcher } from "undici";
import { RelayError } from "../protocol/errors.ts";
import { HTTP_HEADER_MAX_BYTES } from "../protocol/limits.ts";
import type { TargetUrl } from "../protocol/targets.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import type { Framing } from "../protocol/claims.ts";
import { Client } from "./undici.ts";
import type { EgressState } from "./address-proof.ts";
import { watchAnswerStart } from "./answer-start.ts";
import type { Dialed, Dialer, OnStage } from "./dialer.ts";
import { keepFraming } from "./framing.ts";
import {
  BODY_IDLE_MS,
  IDLE_CONNECTION_MS,
  IDLE_CONNECTIONS_MAX,
  JUST_USED_MS,
  STREAMS_PER_CONNECTION,
} from "./limits.ts";
import { tlsRulesKey } from "./tls-rules.ts";

/** Where a connection goes, for whom, and how. */
export interface Route {
  readonly clientId: string;
  readonly target: TargetUrl;
  /** What the client asks of TLS to the target. */
  readonly tls?: TlsRules | undefined;
}

/** An undici handler, with what undici doesn't tell it. */
export interface ExchangeHandler extends Dispatcher.DispatchHandler {
  /** To be called when undici is about to write the request, and not before. */
  onAboutToSend: (() => void) | undefined;
  /** The reason phrase of the answer to come, as Latin-1; HTTP/2 has none. */
  onReason(reason: string): void;
}

/** A connection to a target that a request may be sent on. */
export interface Lease {
  readonly dialed: Dialed;
  /** Whether the connection has served before: its target may have closed it without our knowing yet. */
  readonly reused: boolean;
  send(options: Dispatcher.DispatchOptions, framing: Framing, handler: ExchangeHandler): void;
  /** Must be called once, when the answer has ended or failed. */
  release(): void;
  /** Cuts the connection at once, with all that is on it. */
  cut(): void;
}

interface Connection {
  readonly key: string;
  readonly clientId: string;
  readonly dialed: Dialed;
  readonly client: Client;
  /** HTTP/1 alone: to be called before each request is written. */
  readonly arm: ((method: string, framing: Framing, handler: ExchangeHandler) => void) | undefined;
  /** undici has taken it, and it is not lost. */
  isConnected: boolean;
  /** Nothing else may be sent on it meanwhile. */
  exclusive: boolean;
  /** It takes nothing new and goes when it is free. */
  retired: boolean;
  active: number;
  served: number;
  lastUsed: number;
}

/**
 * Warm connections, one undici client each, kept per client, origin, rules of TLS and egress address: some schemes authenticate
 * the connection, so none is ever shared between clients, and what other rules let through proves nothing.
 */
export class Connections {
  readonly #dialer: Dialer;
  readonly #egress: EgressState;
  readonly #byKey = new Map<string, Set<Connection>>();
  /** All that stand, also those that take nothing new. */
  readonly #all = new Set<Connection>();

  /** @param dialer one of `provenDialer` */
  constructor(dialer: Dialer, egress: EgressState) {
    this.#dialer = dialer;
    this.#egress = egress;
  }

  /** How many connections stand, busy ones included. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * A warm connection, or a new one.
   *
   * @param repeatable whether the request may be sent a second time; if not, it gets a connection that was used a moment
   *   ago or a new one, since a target that just closed an idle one would leave its fate unknown
   * @param exclusive whether nothing else may go over the connection meanwhile
   * @throws RelayError of the dialer; `node_out_of_service` where no address is proven
   */
  async lease(
    route: Route,
    { repeatable, exclusive }: { readonly repeatable: boolean; readonly exclusive: boolean },
    signal: AbortSignal,
    onStage?: OnStage,
  ): Promise<Lease> {
    const warm = this.#warm(keyOf(route), repeatable ? IDLE_CONNECTION_MS : JUST_USED_MS, exclusive);
    return this.#leaseOf(warm ?? (await this.#open(route, signal, onStage)), exclusive);
  }

  /** The same at once, where one is warm. */
  leaseWarm(
    route: Route,
    { repeatable, exclusive }: { readonly repeatable: boolean; readonly exclusive: boolean },
  ): Lease | undefined {
    const warm = this.#warm(keyOf(route), repeatable ? IDLE_CONNECTION_MS : JUST_USED_MS, exclusive);
    return warm && this.#leaseOf(warm, exclusive);
  }

  /** A new connection, whatever stands. */
  async leaseFresh(route: Route, signal: AbortSignal, onStage?: OnStage): Promise<Lease> {
    return this.#leaseOf(await this.#open(route, signal, onStage), false);
  }

  /** Uses none of what stands by a family again: from which address it was opened is not certain any more. */
  retire(family: 4 | 6): void {
    for (const connection of this.#all) if (connection.dialed.family === family) this.#retire(connection);
  }

  /**
   * Uses none of these clients' again, as they were removed: a target may have taken them for who they were, and whoever is
   * registered by the same id is somebody else.
   */
  retireClients(clients: ReadonlySet<string>): void {
    if (clients.size === 0) return;
    for (const connection of this.#all) if (clients.has(connection.clientId)) this.#retire(connection);
  }

  /** Ends all, at once. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#all, ({ client }) => client.destroy()));
  }

  #warm(key: string, idleMs: number, exclusive: boolean): Connection | undefined {
    const connections = this.#byKey.get(key);
    if (connections === undefined) return undefined;
    const now = performance.now();
    let best: Connection | undefined;
    for (const connection of connections) {
      // The one used last: the others grow old and are closed.
      if (best !== undefined && connection.lastUsed <= best.lastUsed) continue;
      const limit = connection.dialed.alpn === "h2" && !exclusive ? STREAMS_PER_CONNECTION : 1;
      if (connection.exclusive || connection.active >= limit || !connection.isConnected) continue;
      if (connection.active === 0 && now - connection.lastUsed > idleMs) continue;
      if (this.#egress.mayLeave(connection.dialed.family)) best = connection;
    }
    return best;
  }

  async #open(route: Route, signal: AbortSignal, onStage: OnStage | undefined): Promise<Connection> {
    const key = keyOf(route);
    const { target } = route;
    const { host, port, scheme } = target;
    const tls = scheme === "https" && { alpn: ["h2", "http/1.1"], rules: route.tls };
    const dialed = await this.#dialer.dial({ host, port, tls, sessionKey: key, signal, onStage });
    if (signal.aborted) {
      dialed.socket.destroy();
      throw signal.reason;
    }
    let given = false;
    const client = new Client(target.origin, {
      // The socket is dialled already, and only once: a client that loses it is done. undici doesn't look again at its
      // queue when a connector answers in the same turn.
      connect: (_options, callback) => {
        const again = given;
        given = true;
        queueMicrotask(() => {
          if (again) callback(new RelayError("connect_failed", "the connection was closed"), null);
          else callback(null, dialed.socket);
        });
      },
      maxHeaderSize: HTTP_HEADER_MAX_BYTES,
      // Deadlines for the head are kept by the exchange, which knows when the request has been sent.
      headersTimeout: 0,
      bodyTimeout: BODY_IDLE_MS,
      keepAliveTimeout: IDLE_CONNECTION_MS,
      keepAliveMaxTimeout: IDLE_CONNECTION_MS * 2,
      keepAliveTimeoutThreshold: 1_000,
      allowH2: true,
      h2Options: { maxConcurrentStreams: STREAMS_PER_CONNECTION },
    });
    const arm = dialed.alpn === "h2" ? undefined : armFor(dialed);
    const connection: Connection = {
      key,
      clientId: route.clientId,
      dialed,
      client,
      arm,
      isConnected: false,
      exclusive: false,
      retired: false,
      active: 0,
      served: 0,
      lastUsed: performance.now(),
    };
    client.on("connect", () => {
      connection.isConnected = true;
    });
    client.on("disconnect", () => {
      connection.isConnected = false;
      this.#retire(connection);
    });
    const set = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, set.add(connection));
    this.#all.add(connection);
    return connection;
  }

  #leaseOf(connection: Connection, exclusive: boolean): Lease {
    connection.exclusive = exclusive;
    const reused = connection.served > 0;
    connection.active++;
    connection.served++;
    let released = false;
    return {
      dialed: connection.dialed,
      reused,
      send: (options, framing, handler) => {
        // Before it writes, undici looks whether an idle connection has bytes that nobody asked for, and drops it then: what
        // reads along must not take them away.
        handler.onAboutToSend = () => connection.arm?.(options.method, framing, handler);
        connection.client.dispatch(options, handler);
      },
      release: () => {
        if (released) return;
        released = true;
        // undici decides in this same turn whether the connection can go on.
        setImmediate(() => {
          connection.active--;
          connection.exclusive = false;
          connection.lastUsed = performance.now();
          const isUsable = connection.client.stats.connected && !connection.retired;
          if (!isUsable || this.#all.size > IDLE_CONNECTIONS_MAX) {
            this.#retire(connection);
          }
        });
      },
      cut: () => this.#drop(connection),
    };
  }

  /** Takes nothing new, and goes when nothing is under way: after an HTTP/2 GOAWAY open streams are still served. */
  #retire(connection: Connection): void {
    connection.retired = true;
    const set = this.#byKey.get(connection.key);
    if (set?.delete(connection) === true && set.size === 0) this.#byKey.delete(connection.key);
    if (connection.active === 0) this.#drop(connection);
  }

  #drop(connection: Connection): void {
    if (!this.#all.delete(connection)) return;
    this.#retire(connection);
    connection.client.destroy().catch(() => {});
    connection.dialed.socket.destroy();
  }
}

function keyOf({ clientId, target, tls }: Route): string {
  return `${clientId} ${target.origin} ${tlsRulesKey(tls)}`;
}

/** What HTTP/1 needs beside undici. */
function armFor({ socket }: Dialed): Connection["arm"] {
  const armFraming = keepFraming(socket);
  const armAnswer = watchAnswerStart(socket);
  // undici takes ECONNRESET for the good end of a body that has no other end. This is heard before it, which is given the
  // socket later: under another name it sees the failure that it is.
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNRESET") error.code = "ECONNABORTED";
  });
  return (method, framing, handler) => {
    armFraming(method, framing);
    armAnswer((reason) => handler.onReason(reason));
  };
}
