import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { TLSSocket } from "node:tls";
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

let isTried = false;

/** Whether sockets can be lent buffers; never before `tryBorrowing` has found out. */
export function canBorrow(): boolean {
  return isTried;
}

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
  return isTried && install(socket, lender);
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
  // TLS goes on with what it has decrypted, also where it was told to stop.
  if (!(socket instanceof Socket) || socket instanceof TLSSocket) return false;
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
 * Tries whether this Node lends: two connections over loopback carry bytes through two buffers, with a pause, to an end.
 * Everything works without it, and slower. Never fails.
 */
export async function tryBorrowing(): Promise<boolean> {
  isTried ||= await trial().catch(() => false);
  return isTried;
}

async function trial(): Promise<boolean> {
  const signal = AbortSignal.timeout(SPLICE_TRIAL_MS);
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const sockets: Socket[] = [];
  try {
    server.listen(0, "127.0.0.1");
    await once(server, "listening", { signal });
    const accepting = once(server, "connection", { signal });
    const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
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
