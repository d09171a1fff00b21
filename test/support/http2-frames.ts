import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { OriginKeys } from "./raw-origin.ts";

/** Frame types (RFC 9113 section 6) that a test looks at. */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, window: 8 } as const;

/** The flag that ends a stream's one side; on a SETTINGS or PING frame it means an acknowledgement. */
export const END_STREAM = 0x1;
const END_HEADERS = 0x4;

/** One frame as it came. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const PREFACE_BYTES = 24;
const HEAD_BYTES = 9;

/** `:status: 200` by the static table of HPACK (RFC 7541 appendix A). */
const STATUS_200 = Buffer.from([0x88]);

/**
 * An HTTP/2 origin that shows frames as they are: Node's own hides whether a stream that was reset had been ended before,
 * and ends it itself before it resets it.
 */
export class FrameOrigin {
  readonly frames: Frame[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  #current: TLSSocket | undefined;
  readonly #waiting: (() => void)[] = [];

  private constructor(keys: OriginKeys) {
    this.#server = createServer({ ...keys, ALPNProtocols: ["h2"] }, (socket) => this.#converse(socket));
  }

  static async start(port: number, keys: OriginKeys): Promise<FrameOrigin> {
    const origin = new FrameOrigin(keys);
    origin.#server.listen(port, "127.0.0.1");
    await once(origin.#server, "listening");
    return origin;
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits for a frame that has come or will come. */
  async frame(matches: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends an answer's head, with a body to come. */
  answer(stream: number): void {
    this.#write(FRAME.headers, END_HEADERS, stream, STATUS_200);
  }

  data(stream: number, text: string, flags = 0): void {
    this.#write(FRAME.data, flags, stream, Buffer.from(text));
  }

  /** RST_STREAM alone, with nothing before it that would end the stream. */
  reset(stream: number, code: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    this.#write(FRAME.reset, 0, stream, payload);
  }

  /** Resolves when the newest connection is gone, with `performance.now()`. */
  async closed(): Promise<number> {
    const socket = this.#current;
    if (socket?.closed === false) await new Promise((done) => socket.once("close", done));
    return performance.now();
  }

  /** Forgets the frames that came so far. */
  clear(): void {
    this.frames.length = 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #write(type: number, flags: number, stream: number, payload: Buffer): void {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.#current!.write(Buffer.concat([head, payload]));
  }

  #converse(socket: TLSSocket): void {
    this.#sockets.add(socket);
    this.#current = socket;
    socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
    let pending: Buffer = Buffer.alloc(0);
    let skip = PREFACE_BYTES;
    this.#write(FRAME.settings, 0, 0, Buffer.alloc(0));
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      const skipped = Math.min(skip, pending.length);
      skip -= skipped;
      pending = pending.subarray(skipped);
      while (pending.length >= HEAD_BYTES) {
        const end = HEAD_BYTES + pending.readUIntBE(0, 3);
        if (pending.length < end) break;
        const payload = pending.subarray(HEAD_BYTES, end);
        const frame = { type: pending[3]!, flags: pending[4]!, stream: pending.readUInt32BE(5), payload };
        pending = pending.subarray(end);
        const isAcknowledged = (frame.flags & END_STREAM) !== 0;
        const none = Buffer.alloc(0);
        if (frame.type === FRAME.settings && !isAcknowledged) this.#write(frame.type, END_STREAM, 0, none);
        if (frame.type === FRAME.ping && !isAcknowledged) this.#write(frame.type, END_STREAM, 0, payload);
        this.frames.push(frame);
        for (const wake of this.#waiting.splice(0)) wake();
      }
    });
  }
}
