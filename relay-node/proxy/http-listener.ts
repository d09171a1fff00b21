import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CONNECT_TCP_PREFIX, CONNECT_TCP_TOKENS } from "../../protocol/connect-tcp.ts";
import { RelayError } from "../../protocol/errors.ts";
import type { ProxyGrantClaims } from "../../protocol/proxy-grants.ts";
import { asRelayError } from "../failure.ts";
import { PROXY_LISTENER, PROXY_SILENT_MS } from "./limits.ts";
import { type ListenAddress, type ListenerBounds, listenHttp, type OnSocket } from "../listener.ts";
import { reset } from "../reset.ts";
import type { BareSocket } from "../tcp/bare-socket.ts";
import type { Standing } from "../revocations/running.ts";
import type { Admission } from "./admission.ts";
import { type ConnectAsked, serveBareConnect, serveConnect } from "./connect-door.ts";
import { serveConnectTcp } from "./connect-tcp.ts";
import { serveForward } from "./forward-door.ts";
import { type ForwardRequest, readForwardRequest } from "./forward-form.ts";
import { PlainConnects } from "./plain-connects.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { refuseRequest, writeProxyFailure, writeRawProxyFailure } from "./proxy-failure.ts";
import { StartLines } from "./start-lines.ts";

/** What is known of a connection that speaks HTTP. */
interface Speaker {
  readonly lines: StartLines;
  /** Reads along. */
  readonly tap: (chunk: Buffer) => void;
  /** The last request that came. */
  request: IncomingMessage | undefined;
  /** Answers that are not over. */
  readonly answers: Set<ServerResponse>;
  /** It has had its last answer. */
  isRefused: boolean;
  /** Of the user that was let in last, for as long as requests come. */
  standing: Standing | undefined;
}

/**
 * An HTTP proxy's listener, over TLS where it has a certificate. What could be read in two ways is refused here, before anybody is
 * asked or dialled.
 */
export class HttpListener {
  readonly #context: ProxyContext;
  readonly #admission: Admission;
  readonly #bounds: ListenerBounds;
  readonly #speakers = new WeakMap<Duplex, Speaker>();
  #server: Server | undefined;
  #plain: PlainConnects | undefined;
  #isStopped = false;

  private constructor(context: ProxyContext, admission: Admission, bounds: Partial<ListenerBounds>) {
    this.#context = context;
    this.#admission = admission;
    this.#bounds = { ...PROXY_LISTENER, ...bounds };
  }

  /**
   * @param bounds what the limits have where nothing else is said
   * @throws the system's error where it can't listen
   */
  static async start(
    context: ProxyContext,
    listen: ListenAddress,
    admission: Admission,
    bounds: Partial<ListenerBounds> = {},
  ): Promise<HttpListener> {
    const listener = new HttpListener(context, admission, bounds);
    const onRequest = (request: IncomingMessage, response: ServerResponse) =>
      listener.#onRequest(request, response);
    const handlers = {
      admit: (socket: Parameters<Admission["stranger"]>[0]) => {
        admission.stranger(socket);
        return !socket.destroyed;
      },
      opened: (socket: Duplex) => listener.#listenTo(socket),
      request: onRequest,
      // Judged before the user is asked for its body.
      expecting: onRequest,
      isUpgrade,
      upgrade: listener.#taking(serveConnectTcp),
      connect: listener.#taking(serveConnect),
      unreadable: (error: NodeJS.ErrnoException, socket: Duplex) => listener.#onUnreadable(error, socket),
    };
    const server = await listenHttp(listen, handlers, listener.#bounds, context.log);
    listener.#server = server;
    // TLS needs streams.
    if (listen.cert === undefined) listener.#standAhead(server);
    return listener;
  }

  /** Takes no more connections, and closes those that rest between two requests. */
  stop(): void {
    this.#isStopped = true;
    this.#plain?.stop();
    this.#server?.close();
  }

  #standAhead(server: Server): void {
    const admission = this.#admission;
    const handlers = {
      admit: (socket: BareSocket) => {
        admission.stranger(socket);
        return !socket.destroyed;
      },
      replace: (socket: BareSocket, next: Socket) => admission.replace(socket, next),
      connect: (asked: ConnectAsked, socket: BareSocket, head: Buffer) =>
        void serveBareConnect(this.#context, asked, socket, head, () => admission.known(socket)),
    };
    const { headMs, tcpKeepAliveMs: keepAliveMs } = this.#bounds;
    const silentMs = Math.min(PROXY_SILENT_MS, headMs / 3);
    this.#plain = PlainConnects.install(server, handlers, { silentMs, keepAliveMs });
  }

  #listenTo(socket: Duplex): void {
    const lines = new StartLines();
    const speaker: Speaker = {
      lines,
      tap: (chunk) => {
        if (speaker.request?.complete === true) lines.next();
        lines.push(chunk);
      },
      request: undefined,
      answers: new Set(),
      isRefused: false,
      standing: undefined,
    };
    this.#speakers.set(socket, speaker);
    socket.once("close", () => speaker.standing?.leave());
    // Ahead of the parser, which is done with the bytes when it tells of a request.
    socket.prependListener("data", speaker.tap);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const speaker = this.#speakers.get(socket)!;
    // What was sent behind a refused request is not served; its connection is about to be closed.
    if (speaker.isRefused) return;
    speaker.request = request;
    speaker.answers.add(response);
    response.once("close", () => speaker.answers.delete(response));
    if (this.#isStopped) response.shouldKeepAlive = false;
    let asked: ForwardRequest;
    try {
      checkLines(speaker);
      if (request.url?.startsWith(CONNECT_TCP_PREFIX) === true) {
        throw new RelayError("upgrade_required", "this path speaks connect-tcp alone");
      }
      asked = readForwardRequest(request);
    } catch (error) {
      speaker.isRefused = true;
      const known = this.#refuse(asRelayError(error));
      refuseRequest(request, response, known, this.#marks);
      return;
    }
    serveForward(this.#context, request, response, asked, (grant) => this.#onUser(socket, speaker, grant));
  }

  /** A connection between two requests is its user's, and ends with what let that in. */
  #onUser(socket: Socket, speaker: Speaker, grant: ProxyGrantClaims): void {
    this.#admission.known(socket);
    if (socket.destroyed) return;
    if (speaker.standing !== undefined) speaker.standing.renew(grant);
    else {
      const end = () => dismiss(socket, speaker);
      speaker.standing = this.#context.node.revocations.watch(grant, "connection", end);
    }
  }

  /** What takes a connection over from HTTP's server. */
  #taking(serve: typeof serveConnect): OnSocket {
    return (request, socket, head) => {
      const speaker = this.#speakers.get(socket)!;
      socket.off("data", speaker.tap);
      speaker.standing?.leave();
      // HTTP's server hears its errors no more, and those of answers to what came before would end the process.
      socket.on("error", () => {});
      if (speaker.isRefused) {
        request.socket.destroySoon();
        return;
      }
      request.socket.setTimeout(0);
      try {
        checkLines(speaker);
      } catch (error) {
        writeRawProxyFailure(socket, this.#refuse(asRelayError(error)), this.#marks);
        return;
      }
      // Answers to what came before have to leave first, and nobody can wait for them here.
      if (speaker.answers.size > 0) reset(socket);
      else void serve(this.#context, request, socket, head, () => this.#admission.known(socket));
    };
  }

  #onUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
    const speaker = this.#speakers.get(socket);
    if (speaker?.isRefused === true) return;
    if (speaker === undefined || !socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    speaker.isRefused = true;
    // What still comes is dropped.
    socket.off("data", speaker.tap);
    const known = this.#refuse(this.#whyUnreadable(error));
    const answers = [...speaker.answers];
    const last = answers.at(-1);
    const isCut = speaker.request?.complete !== true;
    if (last === undefined) writeRawProxyFailure(socket, known, this.#marks);
    // The answer closes the connection, and whoever serves the request hears that its body was cut.
    else if (isCut && answers.length === 1 && !last.headersSent) {
      last.shouldKeepAlive = false;
      // Node tells nobody of a body that is cut behind its answer.
      last.once("finish", () => speaker.request?.destroy(known));
      writeProxyFailure(last, known, this.#marks);
    } else if (isCut || last.headersSent) reset(socket);
    // What came before is served: a target may have it.
    else last.shouldKeepAlive = false;
  }

  #whyUnreadable({ code = "", message }: NodeJS.ErrnoException): RelayError {
    const { headMs, headBytes } = this.#bounds;
    if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
      return new RelayError("head_late", `the head took longer than ${headMs / 1_000} s`);
    }
    if (code === "HPE_HEADER_OVERFLOW") {
      return new RelayError("fields_too_large", `the head is longer than ${headBytes} bytes`);
    }
    // The parser's words on its grammar quote nothing of what was sent.
    const why = /^Parse Error: ([\x20-\x7e]{1,100})$/.exec(message)?.[1] ?? "it can't be read";
    return new RelayError("request_invalid", `this is no valid HTTP/1.1: ${why}`);
  }

  /** Counts it; the log of the node would have as many lines as a stranger likes. */
  #refuse(error: RelayError): RelayError {
    this.#admission.refused(error);
    return error;
  }

  get #marks() {
    return { node: this.#context.node.config.id };
  }
}

/** Serves nothing more: it is closed behind the answers that are under way, each of which has its own end. */
function dismiss(socket: Socket, speaker: Speaker): void {
  speaker.isRefused = true;
  const last = [...speaker.answers].at(-1);
  if (last === undefined) socket.destroy();
  else last.once("close", () => socket.destroySoon());
}

/** @throws RelayError `request_invalid` */
function checkLines({ lines }: Speaker): void {
  if (lines.isStrict) return;
  const why = "the first line is not a method, a target and HTTP/1.1 with one space between each";
  throw new RelayError("request_invalid", why);
}

function isUpgrade({ url = "", headers }: IncomingMessage): boolean {
  return (
    url.startsWith(CONNECT_TCP_PREFIX) && CONNECT_TCP_TOKENS.includes(headers.upgrade?.toLowerCase() ?? "")
  );
}
