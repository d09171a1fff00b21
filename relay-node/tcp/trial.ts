import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { BareSocket } from "./bare-socket.ts";
import { insides, type TcpHandle } from "./insides.ts";

/** The trial has so long. */
const TRIAL_MS = 2_000;

let isTried = false;

/** Whether sockets can do without streams; never before `tryBareSockets` has found out. */
export function canBeBare(): boolean {
  return isTried;
}

/**
 * Tries whether this Node's handles are as expected: one connection over loopback, both of whose ends are bare, carries bytes both ways
 * to an end on either side. Everything works without it, and slower. Never fails.
 */
export async function tryBareSockets(): Promise<boolean> {
  isTried ||= insides !== undefined && process.platform === "linux" && (await trial().catch(() => false));
  return isTried;
}

async function trial(): Promise<boolean> {
  const signal = AbortSignal.timeout(TRIAL_MS);
  const server = createServer();
  const sockets: BareSocket[] = [];
  try {
    server.listen(0, "127.0.0.1");
    await once(server, "listening", { signal });
    const { port } = server.address() as AddressInfo;
    const { _handle: listening } = server as unknown as { readonly _handle: TcpHandle };
    const accepting = new Promise<BareSocket>((accepted, failed) => {
      listening.onconnection = (error, handle) => {
        if (error !== 0 || handle === undefined) failed(new Error(`not accepted: ${error}`));
        else sockets.push(new BareSocket(handle));
        accepted(sockets.at(-1)!);
      };
      signal.addEventListener("abort", () => failed(signal.reason as Error), { once: true });
    });
    // Who waits for it may have given up before.
    accepting.catch(() => {});
    const local = { localAddress: "127.0.0.1", localPort: 0 };
    const near = BareSocket.connect({ address: "127.0.0.1", port, family: 4, ...local });
    near.on("error", () => {});
    sockets.push(near);
    await once(near, "connect", { signal });
    const far = await accepting;
    far.on("error", () => {});
    if (far.remoteAddress !== "127.0.0.1") return false;
    const lent = Buffer.alloc(8);
    let heard = "";
    far.lend({
      buffer: () => lent,
      took: (bytes) => {
        heard += lent.toString("latin1", 0, bytes);
        far.write(Buffer.from(lent.subarray(0, bytes)));
        setImmediate(() => far.resume());
        return false;
      },
    });
    let echoed = "";
    near.on("data", (bytes: Buffer) => (echoed += bytes.toString("latin1")));
    const said = "what is read comes in turns";
    const ends = Promise.all([once(near, "close", { signal }), once(far, "close", { signal })]);
    ends.catch(() => {});
    far.once("end", () => far.end());
    near.resume().write(said.slice(0, 4));
    near.end(Buffer.from(said.slice(4)));
    far.resume();
    await ends;
    const areWhole = near.readableEnded && near.writableFinished && far.readableEnded && far.writableFinished;
    return areWhole && heard === said && echoed === said;
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
