import type { Dispatcher } from "undici";
import { RelayError } from "../protocol/errors.ts";
import { HTTP_HEADER_MAX_BYTES } from "../protocol/limits.ts";
import type { TargetUrl } from "../protocol/targets.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import { Client } from "./undici.ts";
import type { EgressState } from "./address-proof.ts";
import type { Dialed, Dialer, OnStage } from "./dialer.ts";
import { Http1Connection, type Http1Handler, type Http1Request } from "./http1/connection.ts";
import { forHttp2 } from "./http2-request.ts";
import {
  BODY_IDLE_MS,
  IDLE_CONNECTION_MS,
  IDLE_CONNECTIONS_MAX,
  JUST_USED_MS,
  SPARES,
  STREAMS_PER_CONNECTION,
} from "./limits.ts";
import { type SpareBounds, Spares } from "./spares.ts";
import { tlsRulesKey } from "./tls-rules.ts";

/** Where a connection goes, for whom, and how. */
export interface Route {
  readonly clientId: string;
  readonly target: TargetUrl;
  /** What the client asks of TLS to the target. */
  readonly tls?: TlsRules | undefined;
}

/** Told of an exchange, by whichever version of HTTP. */
export type ExchangeHandler = Http1Handler & Dispatcher.DispatchHandler;

/** A connection to a target that a request may be sent on. */
export interface Lease {
  readonly dialed: Dialed;
  /** Whether the connection has served before: its target may have closed it without our knowing yet. */
  readonly reused: boolean;
  /** @param isRead nothing was waited for since this turn's reads were done: see `Http1Connection.send` */
  send(request: Http1Request, handler: ExchangeHandler, isRead?: boolean): void;
  /** Must be called once, when the answer has ended or failed. */
  release(): void;
  /** Cuts the connection at once, with all that is on it. */
  cut(): void;
}

/** What speaks HTTP over a connection. */
interface Speaker {
  /** It may be sent on: not before it has begun, nor when it is lost. */
  readonly isConnected: boolean;
  /** What was sent on it failed: it is replaced when it is asked for. */
  readonly isSpoiled: boolean;
  send(request: Http1Request, handler: ExchangeHandler, isRead: boolean): void;
  /** What was sent last is over, or given up. */
  forgo(): void;
  destroy(): void;
}

interface Connection {
  readonly key: string;
  readonly clientId: string;
  readonly dialed: Dialed;
  readonly speaker: Speaker;
  /** Nothing else may be sent on it meanwhile. */
  exclusive: boolean;
  /** It takes nothing new and goes when it is free. */
  retired: boolean;
  /** Made ahead, and nothing was sent on it yet. */
  isSpare: boolean;
  active: number;
  served: number;
  lastUsed: number;
}

/**
 * Warm connections, kept per client, origin, rules of TLS and egress address: some schemes authenticate
 * the connection, so none is ever shared between clients, and what other rules let through proves nothing.
 */
export class Connections {
  readonly #dialer: Dialer;
  readonly #egress: EgressState;
  readonly #byKey = new Map<string, Set<Connection>>();
  /** All that stand, also those that take nothing new. */
  readonly #all = new Set<Connection>();
  readonly spares: Spares<Route>;
  /** Ends what is being made ahead. */
  readonly #closing = new AbortController();

  /**
   * @param dialer one of `provenDialer`
   * @param spares how many may be made ahead
   */
  constructor(dialer: Dialer, egress: EgressState, spares: SpareBounds = SPARES) {
    this.#dialer = dialer;
    this.#egress = egress;
    // A request's whole plan is a route, with its body.
    this.spares = new Spares(spares, ({ clientId, target, tls }) => ({ clientId, target, tls }));
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
    const warm = this.leaseWarm(route, { repeatable, exclusive });
    return warm ?? this.leaseFresh(route, exclusive, signal, onStage);
  }

  /** The same at once, where one is warm. */
  leaseWarm(
    route: Route,
    { repeatable, exclusive }: { readonly repeatable: boolean; readonly exclusive: boolean },
  ): Lease | undefined {
    const key = keyOf(route);
    this.spares.asked(key, route);
    const warm = this.#warm(key, repeatable ? IDLE_CONNECTION_MS : JUST_USED_MS, exclusive);
    return warm && this.#leaseOf(warm, exclusive);
  }

  /** A new connection, whatever stands. */
  async leaseFresh(route: Route, exclusive: boolean, signal: AbortSignal, onStage?: OnStage): Promise<Lease> {
    return this.#leaseOf(await this.#open(route, signal, onStage), exclusive);
  }

  /** Uses none of what stands by a family again: from which address it was opened is not certain any more. */
  retire(family: 4 | 6): void {
    this.spares.forgetAll();
    for (const connection of this.#all) if (connection.dialed.family === family) this.#retire(connection);
  }

  /** Makes none ahead any more. */
  makeNoSpares(): void {
    this.spares.forgetAll();
    this.#closing.abort(new Error("closed"));
  }

  /**
   * Uses none of these clients' again, as they were removed: a target may have taken them for who they were, and whoever is
   * registered by the same id is somebody else.
   */
  retireClients(clients: ReadonlySet<string>): void {
    if (clients.size === 0) return;
    this.spares.forget(clients);
    for (const connection of this.#all) if (clients.has(connection.clientId)) this.#retire(connection);
  }

  /** Ends all, at once. */
  close(): void {
    this.makeNoSpares();
    for (const connection of this.#all) this.#drop(connection);
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
      if (connection.exclusive || connection.active >= limit || !connection.speaker.isConnected) continue;
      if (connection.active === 0 && now - connection.lastUsed > idleMs) continue;
      if (this.#egress.mayLeave(connection.dialed.family)) best = connection;
    }
    return best;
  }

  async #open(
    route: Route,
    signal: AbortSignal,
    onStage: OnStage | undefined,
    isSpare = false,
  ): Promise<Connection> {
    const key = keyOf(route);
    const { target } = route;
    const { host, port, scheme } = target;
    const tls = scheme === "https" && { alpn: ["h2", "http/1.1"], rules: route.tls };
    const dialed = await this.#dialer.dial({ host, port, tls, sessionKey: key, signal, onStage });
    if (signal.aborted) {
      dialed.socket.destroy();
      throw signal.reason;
    }
    const onLost = () => this.#replace(connection);
    const connection: Connection = {
      key,
      clientId: route.clientId,
      dialed,
      speaker:
        dialed.alpn === "h2"
          ? http2(target.origin, dialed, onLost)
          : new Http1Connection(dialed.socket, () => queueMicrotask(onLost), isSpare),
      exclusive: false,
      retired: false,
      isSpare,
      active: 0,
      served: 0,
      lastUsed: performance.now(),
    };
    const set = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, set.add(connection));
    this.#all.add(connection);
    return connection;
  }

  #leaseOf(connection: Connection, exclusive: boolean): Lease {
    connection.exclusive = exclusive;
    // One that was made ahead may have been closed since, like one that has served.
    const reused = connection.served > 0 || connection.isSpare;
    if (connection.isSpare) {
      connection.isSpare = false;
      this.spares.ended(connection.clientId, "used");
    }
    connection.active++;
    connection.served++;
    let released = false;
    return {
      dialed: connection.dialed,
      reused,
      send: (request, handler, isRead = false) => connection.speaker.send(request, handler, isRead),
      release: () => {
        if (released) return;
        released = true;
        if (connection.dialed.alpn !== "h2") this.#released(connection);
        // undici decides in this same turn whether the connection can go on.
        else setImmediate(() => this.#released(connection));
      },
      cut: () => this.#drop(connection),
    };
  }

  #released(connection: Connection): void {
    connection.speaker.forgo();
    connection.active--;
    connection.exclusive = false;
    connection.lastUsed = performance.now();
    const isUsable = connection.speaker.isConnected && !connection.retired;
    if (isUsable && this.#all.size <= IDLE_CONNECTIONS_MAX) return;
    this.#replace(connection);
  }

  /** It serves no more, by itself: where it was in use, the next is made ahead. */
  #replace(connection: Connection): void {
    const { retired, speaker, dialed } = connection;
    this.#retire(connection);
    // One of HTTP/2 serves many at once, and is begun by its first request alone.
    if (!retired && !speaker.isSpoiled && dialed.alpn !== "h2") this.#makeSpare(connection.key);
  }

  /** Where none is left of those by which a route was gone lately, the next is made ahead. */
  #makeSpare(key: string): void {
    if (this.#all.size >= IDLE_CONNECTIONS_MAX || this.#closing.signal.aborted) return;
    for (const { active, speaker } of this.#byKey.get(key) ?? []) {
      if (active === 0 || !speaker.isConnected) return;
    }
    const route = this.spares.lost(key);
    if (route === undefined) return;
    this.#open(route, this.#closing.signal, undefined, true).then(
      (connection) => {
        this.spares.made();
        // Whoever it was for may have been removed meanwhile, and the target may speak another version.
        if (connection.dialed.alpn === "h2" || !this.spares.isWanted(key, route)) this.#retire(connection);
      },
      () => this.spares.ended(route.clientId, "failed"),
    );
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
    if (connection.isSpare) {
      connection.isSpare = false;
      this.spares.ended(connection.clientId, "unused");
    }
    this.#retire(connection);
    connection.speaker.destroy();
    connection.dialed.socket.destroy();
  }
}

function keyOf({ clientId, target, tls }: Route): string {
  return `${clientId} ${target.origin} ${tlsRulesKey(tls)}`;
}

/** HTTP/2 by an undici client of its own. @param onLost called once it can serve no more */
function http2(origin: string, { socket }: Dialed, onLost: () => void): Speaker {
  let given = false;
  let isConnected = false;
  const client = new Client(origin, {
    // The socket is dialled already, and only once: a client that loses it is done. undici doesn't look again at its
    // queue when a connector answers in the same turn.
    connect: (_options, callback) => {
      const again = given;
      given = true;
      queueMicrotask(() => {
        if (again) callback(new RelayError("connect_failed", "the connection was closed"), null);
        else callback(null, socket);
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
  client.on("connect", () => {
    isConnected = true;
  });
  client.on("disconnect", () => {
    isConnected = false;
    onLost();
  });
  return {
    get isConnected() {
      return isConnected;
    },
    send: (request, handler) => void client.dispatch(forHttp2(origin, request), handler),
    isSpoiled: false,
    forgo: () => {},
    destroy: () => void client.destroy().catch(() => {}),
  };
}
