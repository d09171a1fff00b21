import { type Server, Socket } from "node:net";
import type { ProxyRequest } from "../../protocol/proxy-requests.ts";
import { STREAM_BUFFER_BYTES } from "../limits.ts";
import { Members } from "../members.ts";
import { BareSocket } from "../tcp/bare-socket.ts";
import type { TcpHandle } from "../tcp/insides.ts";
import { canBeBare } from "../tcp/trial.ts";
import { type ConnectAsked, readConnect } from "./connect-door.ts";
import { readConnectHead } from "./connect-head.ts";

/** What becomes of connections that ask for a tunnel at once. */
export interface PlainConnectHandlers {
  /** Whether one that was just accepted may stay; one that may not is cut by whoever says so. */
  readonly admit: (socket: BareSocket) => boolean;
  /** One that was admitted goes on as another, which the server will be given. */
  readonly replace: (socket: BareSocket, next: Socket) => void;
  /** Takes one over. @param head what came behind the request already */
  readonly connect: (asked: ConnectAsked, socket: BareSocket, head: Buffer) => void;
}

/**
 *   user ──CONNECT host:port──▶ one plain head, whole ──▶ tunnel
 *   user ──anything else───────────────────────────────▶ HTTP's server
 *
 * Takes the connections of an HTTP server that begin with a plain CONNECT, which need none of what HTTP's server makes for each one.
 * All others become that server's with what they said, and so do those that have said nothing for a moment: it judges them, and
 * gives them their time.
 */
export class PlainConnects {
  readonly #server: Server;
  readonly #handlers: PlainConnectHandlers;
  /** Those that have said nothing since the clock was looked at last, and those before. */
  #young = new Members<BareSocket>();
  #old = new Members<BareSocket>();
  readonly #silentMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  private constructor(server: Server, handlers: PlainConnectHandlers, silentMs: number) {
    this.#server = server;
    this.#handlers = handlers;
    this.#silentMs = silentMs;
  }

  /**
   * Stands in front of a server from now on, where this Node lets it.
   * @param server listens, without TLS
   * @param silentMs after so long, or twice that, a connection that says nothing becomes the server's
   * @param keepAliveMs TCP asks after one that says nothing for so long
   * @returns undefined where this Node doesn't let it
   */
  static install(
    server: Server,
    handlers: PlainConnectHandlers,
    { silentMs, keepAliveMs }: { readonly silentMs: number; readonly keepAliveMs?: number | undefined },
  ): PlainConnects | undefined {
    const { _handle: handle } = server as unknown as { readonly _handle?: TcpHandle | null };
    if (!canBeBare() || handle === undefined || handle === null) return undefined;
    // Linux gives them to what is accepted: no system calls for each connection.
    handle.setNoDelay(true);
    if (keepAliveMs !== undefined) handle.setKeepAlive(true, Math.ceil(keepAliveMs / 1_000));
    const ahead = new PlainConnects(server, handlers, silentMs);
    const further = handle.onconnection;
    handle.onconnection = function onConnection(error, accepted) {
      if (error === 0 && accepted !== undefined) ahead.#accepted(accepted);
      else further?.call(this, error, accepted);
    };
    return ahead;
  }

  /** Closes those that have not asked for anything: the server would not know of them as it stops. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const socket of [...this.#young, ...this.#old]) {
      socket.hearer = undefined;
      socket.destroy();
    }
    this.#young.clear();
    this.#old.clear();
  }

  #accepted(handle: TcpHandle): void {
    const socket = new BareSocket(handle);
    if (this.#isStopped) {
      socket.destroy();
      return;
    }
    if (!this.#handlers.admit(socket)) return;
    const member = this.#young.enter(socket);
    this.#timer ??= setInterval(() => this.#tick(), this.#silentMs).unref();
    const judge = (bytes?: Buffer) => {
      member.leave();
      this.#judge(socket, bytes);
    };
    socket.hearer = { data: judge, end: judge, close: judge };
    socket.resume();
  }

  /** @param bytes the first that came; undefined where none did */
  #judge(socket: BareSocket, bytes: Buffer | undefined): void {
    socket.hearer = undefined;
    if (bytes === undefined) {
      socket.destroy();
      return;
    }
    const head = readConnectHead(bytes);
    const asked = head === undefined ? undefined : askedBy(head.request, socket);
    if (asked === undefined) this.#handOver(socket, bytes);
    else this.#handlers.connect(asked, socket, bytes.subarray(head!.length));
  }

  /** Whatever is refused is the server's to refuse. */
  #handOver(bare: BareSocket, bytes: Buffer | undefined): void {
    const handle = bare.release();
    const socket = new Socket({ ...STREAMS, ...({ handle } as object) });
    this.#handlers.replace(bare, socket);
    this.#server.emit("connection", socket);
    if (bytes !== undefined && !socket.destroyed) socket.unshift(bytes);
  }

  #tick(): void {
    for (const socket of this.#old) {
      socket.hearer = undefined;
      if (!socket.destroyed) this.#handOver(socket, undefined);
    }
    this.#old = this.#young;
    this.#young = new Members();
    if (this.#old.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** As HTTP's server makes its own; what the system sends at once, and when it asks after a peer, it has from the listening socket. */
const STREAMS = { allowHalfOpen: true, readable: true, writable: true, highWaterMark: STREAM_BUFFER_BYTES };

function askedBy(request: ProxyRequest, { remoteAddress }: BareSocket): ConnectAsked | undefined {
  try {
    return readConnect(request, remoteAddress);
  } catch {
    return undefined;
  }
}
