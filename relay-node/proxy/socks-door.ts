import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { MessageReader } from "../../protocol/message-reader.ts";
import { SOCKS_REPLY, socksReply } from "../../protocol/socks-replies.ts";
import {
  ADMITTED,
  NO_METHOD,
  NOT_ADMITTED,
  PASSWORD_METHOD,
  readGreeting,
  readPassword,
  readRequest,
  replyBytes,
  SocksRefusal,
} from "../../protocol/socks5.ts";
import { parseTunnelUrl, tunnelUrl } from "../../protocol/targets.ts";
import { asRelayError } from "../failure.ts";
import { LAST_ANSWER_MS, STREAM_BUFFER_BYTES } from "../limits.ts";
import type { ListenAddress } from "../listener.ts";
import { PROXY_HEAD_MS, PROXY_TCP_KEEP_ALIVE_MS } from "./limits.ts";
import type { Admission } from "./admission.ts";
import type { ProxyUser } from "./authorizer.ts";
import { checkCredential } from "./credentials.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { type OpenedTunnel, TunnelOpening } from "./tunnel-opening.ts";
import { WaitingUser } from "./waiting-user.ts";

/** Which connections there may be, of whoever counts them and cuts them in the end. */
export type SocketAdmission = Pick<Admission, "stranger" | "known">;

/** A listener of SOCKS 5. */
export interface SocksDoor {
  readonly port: number;
  /** Takes no more connections. */
  stop(): void;
}

/**
 *   user ──methods, user and password──▶ their form is checked
 *   user ──CONNECT host:port───────────▶ authorize ▶ limits ▶ dial ▶ reply ▶ ProxyTunnel
 *
 * SOCKS 5 (RFC 1928) with user and password (RFC 1929): CONNECT alone, names resolved here.
 *
 * The edge judges credentials and target together, but a user waits for the word on its password before it tells the target.
 * So what can't be credentials at all is refused at once, all others are let in at first, and a reply of 2, "not allowed",
 * then says that they, or the target for them, were refused.
 *
 * @param headMs how long the two messages and the request behind them may take
 * @throws the system's error where it can't listen
 */
export async function startSocks(
  context: ProxyContext,
  { host, port, reusePort = false }: ListenAddress,
  admission: SocketAdmission,
  headMs = PROXY_HEAD_MS,
): Promise<SocksDoor> {
  const server = createServer(
    {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: PROXY_TCP_KEEP_ALIVE_MS,
      highWaterMark: STREAM_BUFFER_BYTES,
    },
    (socket) => {
      socket.on("error", () => {});
      admission.stranger(socket);
      if (!socket.destroyed) void new SocksConnection(context, socket, admission).serve(headMs);
    },
  );
  server.listen({ host, port, reusePort });
  await once(server, "listening");
  // What the system can't accept, as when it has no files left, is the next one's to try.
  server.on("error", (error) => context.log.warn({ cause: error.message }, "socks: not accepted"));
  return { port: (server.address() as AddressInfo).port, stop: () => void server.close() };
}

/** What a user wants, as it said it. */
interface Asked {
  readonly user: ProxyUser;
  readonly host: string;
  readonly port: number;
}

/** One connection until it is a tunnel. */
class SocksConnection {
  readonly #context: ProxyContext;
  readonly #socket: Socket;
  readonly #admission: SocketAdmission;
  readonly #reader: MessageReader;

  constructor(context: ProxyContext, socket: Socket, admission: SocketAdmission) {
    this.#context = context;
    this.#socket = socket;
    this.#admission = admission;
    this.#reader = new MessageReader(socket, () => new SocksRefusal("the user went away"));
  }

  async serve(headMs: number): Promise<void> {
    const socket = this.#socket;
    const deadline = setTimeout(() => socket.destroy(), headMs);
    let asked: Asked | undefined;
    try {
      asked = await this.#ask();
    } catch (error) {
      // What is no SOCKS 5 at all is not answered.
      const reply = error instanceof SocksRefusal ? error.reply : socksReply(error);
      if (reply === undefined) socket.destroy();
      else this.#end(replyBytes(reply));
    } finally {
      clearTimeout(deadline);
    }
    if (asked !== undefined) await this.#open(asked);
  }

  /** Undefined: it was answered, and is closed. @throws SocksRefusal */
  async #ask(): Promise<Asked | undefined> {
    if (!(await this.#reader.read(readGreeting))) return this.#end(NO_METHOD);
    this.#socket.write(PASSWORD_METHOD);
    const user = await this.#login();
    if (user === undefined) return this.#end(NOT_ADMITTED);
    this.#socket.write(ADMITTED);
    return { user, ...(await this.#reader.read(readRequest)) };
  }

  /** Undefined: these are no credentials. */
  async #login(): Promise<ProxyUser | undefined> {
    let login: { readonly user: string; readonly password: string };
    try {
      login = await this.#reader.read(readPassword);
    } catch {
      return undefined;
    }
    const { node } = this.#context;
    const user = { user: login.user, credential: login.password, from: this.#socket.remoteAddress ?? "" };
    try {
      checkCredential(user, { edge: node.config.edge, now: node.now() });
      return user;
    } catch (error) {
      new TunnelOpening(this.#context).refused(asRelayError(error));
      return undefined;
    }
  }

  async #open({ user, host, port }: Asked): Promise<void> {
    const { streams } = this.#context;
    const socket = this.#socket;
    const opening = new TunnelOpening(this.#context, () => this.#admission.known(socket));
    const waiting = new WaitingUser(socket, Buffer.from(this.#reader.rest), opening.onGone);
    let opened: OpenedTunnel;
    try {
      opened = await opening.open(waiting, user, parseTunnelUrl(tunnelUrl(host, port)));
    } catch (error) {
      waiting.release();
      const known = asRelayError(error);
      opening.refused(known);
      this.#end(replyBytes(socksReply(known)));
      return;
    }
    socket.write(replyBytes(SOCKS_REPLY.succeeded));
    const { dialed, early } = opened;
    streams.openTunnel(opening.account, "socks5", dialed, socket, early);
  }

  /** The last word: what may still come is read and dropped, since closing on it could cut the word. */
  #end(bytes: Uint8Array): undefined {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const timer = setTimeout(() => socket.destroy(), LAST_ANSWER_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.resume().end(bytes);
  }
}
