import { RelayError } from "../../protocol/errors.ts";
import { tunnelUrl } from "../../protocol/targets.ts";
import { type HostMatcher, parseHosts } from "../hosts.ts";
import type { IdentityOptions } from "../platforms/options.ts";
import { createSigner } from "../signer.ts";
import type { StreamSigner } from "../stream-connection.ts";
import type { StreamSettings, StreamTarget } from "../stream-session.ts";
import { Spares } from "../stream-spares.ts";
import { DirectWay } from "./direct-wire.ts";
import { openNodeWire } from "./node-wire.ts";
import { RelaySocket, type RelaySocketOptions } from "./relay-socket.ts";
import { isVia, type Via, VIAS } from "./via.ts";

/** All of them may be left out. */
export interface SocketsOptions extends IdentityOptions {
  /**
   * What has a choice between the relay and the direct way (agents, the dispatcher) sends only these hosts by the relay:
   * exact hosts (`api.bank.com`) or every subdomain of a suffix (`*.vendor.io`). Default: all of them.
   */
  readonly hosts?: readonly string[];
  /** The one node, or the few, that may hold the connections. Default: the edge chooses of all in the client's pool. */
  readonly node?: string | readonly string[];
  /**
   * `direct`: straight to a node under a grant that the edge is asked for, and by the edge where no node can be reached from here.
   * Default: `edge`.
   */
  readonly via?: Via;
  /** How long a connection whose path is broken is tried to be taken up again, in milliseconds. Default: as long as nodes keep it. */
  readonly resumeMs?: number;
  /** The clock: milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** One connection. */
export interface ConnectOptions extends StreamTarget, RelaySocketOptions {
  /** Ends the socket with the signal's reason, also once it is connected. */
  readonly signal?: AbortSignal;
}

/** Opens TCP connections by one relay. */
export interface Sockets {
  /** Returns at once a socket that connects. A failure is its `error` event, a RelayError. */
  readonly connect: (options: ConnectOptions) => RelaySocket;
  /** A socket that is not connected: for those who call its `connect(port, host)` themselves. */
  readonly socket: (options?: RelaySocketOptions) => RelaySocket;
  /**
   * Expects connections to a target, and the first one soon: a path to a node is kept open ahead of it while it is asked for now and
   * then, so that a connection is made after one way there and back. Nothing is sent to the target before. Of more than a few targets
   * it keeps none.
   *
   * @returns ends it
   * @throws RelayError `url_invalid`
   */
  readonly expect: (target: StreamTarget) => () => void;
  /**
   * Resolves once all that was written to sockets which are closed by now has arrived, or never will: to be awaited before the
   * process is ended by force.
   */
  readonly settled: () => Promise<void>;
  /** Whether a host goes by the relay, by the `hosts` option. */
  readonly relays: HostMatcher;
}

/**
 * Makes sockets out of `HOLDFAST_URL`. Nothing is sent, and no key is read, before the first one connects.
 *
 * @param url `https://<client-id>:<private key>@<edge host>`, or without the key where the platform tells who is asking
 * @throws RelayError `request_invalid` where the URL, `via` or an entry of `hosts` is not valid
 * @example
 * const sockets = createSockets(process.env.HOLDFAST_URL);
 * const socket = sockets.connect({ host: "db.example.com", port: 5432 });
 * socket.on("connect", () => console.log("leaves from", socket.egress));
 */
export function createSockets(url: string | undefined, options: SocketsOptions = {}): Sockets {
  const { edge, clientId, sign, refused } = createSigner(url, options);
  const { via = "edge" } = options;
  if (!isVia(via)) throw new RelayError("request_invalid", `via is none of ${VIAS.join(", ")}`);
  const signer: StreamSigner = {
    edge,
    clientId,
    sign,
    refused,
    node: options.node,
    now: options.now ?? Date.now,
    openWire: via === "direct" ? new DirectWay().openWire : openNodeWire,
    underlying: () => globalThis.fetch,
  };
  const spares = new Spares(signer);
  const settings: StreamSettings = {
    ...signer,
    spares,
    ...(options.resumeMs !== undefined && { resumeMs: options.resumeMs }),
  };
  const unsettled = new Set<RelaySocket>();
  const socket = (socketOptions?: RelaySocketOptions) => {
    const made = new RelaySocket(settings, socketOptions);
    return made.once("connect", () => {
      unsettled.add(made);
      void made.settled.then(() => unsettled.delete(made));
    });
  };
  return {
    connect: ({ host, port, signal, ...socketOptions }) =>
      endWith(signal, socket(socketOptions)).connect({ host, port }),
    socket,
    expect: ({ host, port }) => spares.expect(tunnelUrl(host, port)),
    settled: async () => {
      const closed = [...unsettled].filter(({ destroyed }) => destroyed);
      await Promise.all(closed.map((one) => one.settled));
    },
    relays: options.hosts === undefined ? () => true : parseHosts(options.hosts),
  };
}

/** Lets a signal end a socket, for as long as there is one. */
function endWith(signal: AbortSignal | undefined, socket: RelaySocket): RelaySocket {
  if (signal === undefined) return socket;
  const abort = () => socket.destroy(asError(signal.reason));
  if (signal.aborted) process.nextTick(abort);
  else signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  return socket;
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
