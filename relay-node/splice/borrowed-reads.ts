import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from "node:tls";
import { BareSocket } from "../tcp/bare-socket.ts";
import type { Connection } from "../tcp/connection.ts";
import type { Lender } from "./lender.ts";
import { SPLICE_TRIAL_MS } from "./limits.ts";

/**
 * What `onread` of `net.connect` is made of. It is public for connections that are made, and not for those that are accepted or made
 * already: so it is looked for, tried at a start, and done without where it isn't as expected.
 */
const [BUFFER, CALLBACK, GENERATOR] = ["kBuffer", "kBufferCb", "kBufferGen"].map((name) =>
  Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name),
);

interface Handle {
  useUserBuffer?(buffer: Uint8Array): void;
}

/** A socket as Node's own code sees it. */
type Insides = Record<symbol | string, unknown>;

const HANDLE = "_handle";

/** Which sockets can be lent buffers; none before `tryBorrowing` has found out. */
const tried = { plain: false, tls: false };

/**
 * Makes a socket read into a lender's buffers from now on. It has to be paused; what it has read before is still read by `read`,
 * and has to be before it is resumed. It ends and fails as any socket.
 *
 * @returns false where this can't be done, and nothing has changed
 */
export function borrow(socket: Connection, lender: Lender): boolean {
  if (socket instanceof BareSocket) {
    socket.lend(lender);
    return true;
  }
  if (!(socket instanceof TLSSocket)) return tried.plain && install(socket, lender);
  return tried.tls && lender.takesAll === true && install(socket, lender);
}

/** Makes a socket that borrows read into what `buffer` names now, without a read in between. Costs some bytes until the socket is closed. */
export function rebind(socket: Connection, lender: Lender): void {
  if (socket instanceof BareSocket) {
    socket.rebind();
    return;
  }
  const inside = socket as unknown as Insides;
  const buffer = lender.buffer();
  inside[BUFFER!] = buffer;
  (inside[HANDLE] as Handle | null)?.useUserBuffer?.(buffer);
}

function install(socket: Connection, lender: Lender): boolean {
  if (BUFFER === undefined || CALLBACK === undefined || GENERATOR === undefined) return false;
  if (!(socket instanceof Socket)) return false;
  const inside = socket as unknown as Insides;
  const handle = inside[HANDLE] as Handle | null;
  if (typeof handle?.useUserBuffer !== "function" || inside[BUFFER] !== null) return false;
  const took = (bytes: number) => lender.took(bytes);
  const generate = () => lender.buffer();
  inside[CALLBACK] = took;
  inside[GENERATOR] = generate;
  rebind(socket, lender);
  return true;
}

/**
 * Tries whether this Node lends: two connections over loopback carry bytes through two buffers, with a pause, to an end; once as
 * they are, once by TLS. Everything works without it, and slower. Never fails.
 *
 * @returns whether it does for both
 */
export async function tryBorrowing(): Promise<boolean> {
  const [plain, tls] = await Promise.all([PLAIN, TLS].map((way) => trial(way).catch(() => false)));
  tried.plain ||= plain!;
  tried.tls ||= tls!;
  return tried.plain && tried.tls;
}

/** What a trial goes over. */
interface TrialWay {
  readonly event: string;
  serve(): Server;
  connect(port: number): Socket;
}

const LOOPBACK = "127.0.0.1";

const PLAIN: TrialWay = {
  event: "connection",
  serve: () => createServer({ allowHalfOpen: true, pauseOnConnect: true }),
  connect: (port) => connect(port, LOOPBACK),
};

/** By a key that both have: it needs no certificate. */
const PSK = { ciphers: "PSK-AES128-GCM-SHA256", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;

const TLS: TrialWay = {
  event: "secureConnection",
  serve: () => createTlsServer({ ...PSK, pskCallback: () => TRIAL_KEY }),
  connect: (port) =>
    connectTls({
      ...PSK,
      port,
      host: LOOPBACK,
      pskCallback: () => ({ psk: TRIAL_KEY, identity: "trial" }),
      checkServerIdentity: () => undefined,
    }),
};

/** Nothing that is a secret goes by it, and nobody else is listened to. */
const TRIAL_KEY = randomBytes(16);

async function trial(way: TrialWay): Promise<boolean> {
  const signal = AbortSignal.timeout(SPLICE_TRIAL_MS);
  const server = way.serve();
  const sockets: Socket[] = [];
  try {
    server.listen(0, LOOPBACK);
    await once(server, "listening", { signal });
    const accepting = once(server, way.event, { signal });
    const near = way.connect((server.address() as AddressInfo).port);
    // What can't even connect to itself is told by nothing else, and would end the process.
    near.on("error", () => near.destroy());
    sockets.push(near);
    const [far] = (await accepting) as [Socket];
    far.on("error", () => far.destroy());
    sockets.push(far);
    const sent = Buffer.from("what is read comes in turns");
    const buffers = [Buffer.alloc(8), Buffer.alloc(8)] as const;
    let reads = 0;
    let read = "";
    const lender: Lender = {
      buffer: () => buffers[reads % 2]!,
      took: (bytes) => {
        read += buffers[reads++ % 2]!.toString("latin1", 0, bytes);
        setImmediate(() => far.resume());
        return false;
      },
    };
    far.pause();
    const isInstalled = install(far, lender);
    if (!isInstalled) return false;
    const ended = once(far, "end", { signal });
    near.end(sent);
    far.resume();
    await ended;
    return read === sent.toString("latin1") && reads === Math.ceil(sent.length / 8);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
