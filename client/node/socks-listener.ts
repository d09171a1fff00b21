import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type ErrorCode, isRelayError } from "../../protocol/errors.ts";
import { SOCKS_CONNECTIONS_MAX, SOCKS_HANDSHAKE_BYTES, SOCKS_HANDSHAKE_MS } from "./limits.ts";
import type { RelaySocket } from "./relay-socket.ts";
import {
  NO_METHOD,
  type Parsed,
  parseConnect,
  parseGreeting,
  parsePassword,
  PASSWORD_METHOD,
  PASSWORD_VERSION,
  REPLY,
  replyOf,
  SOCKS_VERSION,
  SocksError,
} from "./socks-messages.ts";

/** What a listener lets through, and for whom. */
export interface SocksOptions {
  readonly username: string;
  readonly password: string;
  /** Whether a host and port may be connected to. */
  readonly admits: (host: string, port: number) => boolean;
  readonly connect: (target: { readonly host: string; readonly port: number }) => RelaySocket;
}

/** A running listener. */
export interface SocksListener {
  readonly port: number;
  /** Ends it with all its connections. */
  readonly close: () => Promise<void>;
}

/** Listens on loopback for SOCKS 5 with a user name and a password; nothing but CONNECT. By itself it keeps no process alive. */
export async function startSocksListener(options: SocksOptions): Promise<SocksListener> {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
    // Its end is told by `close`.
    connection.on("error", () => {});
    serve(connection, options).catch((error: unknown) => {
      if (error instanceof SocksError && connection.writable) connection.end(replyOf(error.reply));
      connection.destroySoon();
    });
  });
  server.maxConnections = SOCKS_CONNECTIONS_MAX;
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      for (const connection of connections) connection.destroy();
      await once(server, "close");
    },
  };
}

/**
 *   client ──greeting──▶  ──password──▶  ──CONNECT──▶  relay  ◀──bytes──▶
 */
async function serve(connection: Socket, options: SocksOptions): Promise<void> {
  const deadline = setTimeout(() => connection.destroy(), SOCKS_HANDSHAKE_MS);
  try {
    const greeting = await read(connection, parseGreeting);
    if (!greeting.includes(PASSWORD_METHOD)) {
      connection.end(Buffer.from([SOCKS_VERSION, NO_METHOD]));
      return;
    }
    connection.write(Buffer.from([SOCKS_VERSION, PASSWORD_METHOD]));
    const { name, password } = await read(connection, parsePassword);
    // Both are compared whatever the first says.
    const isKnown = [isSame(name, options.username), isSame(password, options.password)].every(Boolean);
    connection.write(Buffer.from([PASSWORD_VERSION, isKnown ? 0 : 1]));
    if (!isKnown) throw new Error("a wrong password");
    const target = await read(connection, parseConnect);
    if (!options.admits(target.host, target.port)) throw new SocksError(REPLY.notAllowed, "not admitted");
    clearTimeout(deadline);
    join(connection, await open(connection, target, options));
  } finally {
    clearTimeout(deadline);
  }
}

async function open(
  connection: Socket,
  target: { readonly host: string; readonly port: number },
  options: SocksOptions,
): Promise<RelaySocket> {
  const socket = options.connect(target);
  const leave = () => socket.destroy();
  connection.once("close", leave);
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new SocksError(
      (isRelayError(error) ? REPLIES.get(error.code) : undefined) ?? REPLY.failed,
      "no connection",
    );
  } finally {
    connection.off("close", leave);
  }
  connection.write(replyOf(REPLY.succeeded));
  return socket;
}

/** Reads one message, and leaves what follows it unread. */
async function read<T>(connection: Socket, parse: (bytes: Buffer) => Parsed<T>): Promise<T> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk = connection.read() as Buffer | null;
    if (chunk === null) {
      if (connection.readableEnded || connection.destroyed) throw new Error("it ended in its handshake");
      await Promise.race([once(connection, "readable"), once(connection, "end"), once(connection, "close")]);
      continue;
    }
    bytes = Buffer.concat([bytes, chunk]);
    const parsed = parse(bytes);
    if (parsed !== undefined) {
      if (parsed.length < bytes.length) connection.unshift(bytes.subarray(parsed.length));
      return parsed.value;
    }
    if (bytes.length > SOCKS_HANDSHAKE_BYTES) throw new Error("its handshake is too long");
  }
}

/** Passes bytes and ends on, both ways; a side that breaks takes the other with it. */
function join(one: Socket, other: RelaySocket): void {
  one.pipe(other);
  other.pipe(one);
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    // Else the end would be told by an error event.
    from.on("error", () => {});
    from.on("close", () => {
      if (!from.readableEnded || !from.writableFinished) to.resetAndDestroy();
    });
  }
}

/** In constant time, whatever the lengths are. */
function isSame(said: Uint8Array, known: string): boolean {
  return timingSafeEqual(sha256(said), sha256(Buffer.from(known)));
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** What RFC 1928 has a reply for; all else has failed. */
const REPLIES: ReadonlyMap<ErrorCode, number> = new Map([
  ["target_not_allowed", REPLY.notAllowed],
  ["address_refused", REPLY.notAllowed],
  ["connect_refused", REPLY.refused],
  ["dns_failed", REPLY.unreachable],
  ["dns_timeout", REPLY.unreachable],
  ["connect_failed", REPLY.unreachable],
  ["connect_timeout", REPLY.unreachable],
]);
