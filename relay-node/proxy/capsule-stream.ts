import { Duplex } from "node:stream";
import { CAPSULE, CapsuleDecoder, capsuleHead } from "../../protocol/capsules.ts";
import { RelayError } from "../../protocol/errors.ts";
import { LAST_ANSWER_MS, STREAM_BUFFER_BYTES } from "../limits.ts";
import { reset } from "../reset.ts";

/**
 *   user ──DATA, FINAL_DATA──▶ bytes, end
 *   user ◀──DATA, FINAL_DATA── bytes, end
 *
 * The bytes that a connection carries in capsules. Each direction ends by FINAL_DATA; once both have, the connection is closed
 * in order. Whatever else ends it is an abort: one that came destroys this stream with an error, and to destroy this stream
 * cuts the connection, so that the user never takes what came for a whole one.
 */
export class CapsuleStream extends Duplex {
  readonly #socket: Duplex;
  readonly #decoder = new CapsuleDecoder();
  /** FINAL_DATA was handed to the system. */
  #hasSaidAll = false;

  /** @param socket half-open capable, and paused */
  constructor(socket: Duplex) {
    super({ allowHalfOpen: true, highWaterMark: STREAM_BUFFER_BYTES });
    this.#socket = socket;
    socket
      .on("data", (chunk: Buffer) => this.#decode(chunk))
      .on("end", () => this.#onEnd())
      .on("error", (error) => this.destroy(error))
      .on("close", () => this.destroy(this.#isWhole ? undefined : cut()));
    socket.pause();
    if (socket.destroyed) this.destroy(cut());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send([chunk], done);
  }

  /** What was written together goes as one capsule. */
  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.write(capsuleHead(CAPSULE.finalData, 0), (error) => {
      this.#hasSaidAll = error === undefined || error === null;
      done(error);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    if (socket.closed) return done(error);
    socket.once("close", () => done(error));
    if (error !== null || !this.#isWhole) return reset(socket);
    const timer = setTimeout(() => socket.destroy(), LAST_ANSWER_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.end();
    socket.resume();
  }

  /** Both directions have ended as they should. */
  get #isWhole(): boolean {
    return this.#decoder.isFinal && this.#hasSaidAll;
  }

  #send(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    socket.cork();
    socket.write(capsuleHead(CAPSULE.data, bytes));
    chunks.forEach((chunk, index) => socket.write(chunk, index === chunks.length - 1 ? done : undefined));
    socket.uncork();
  }

  #decode(chunk: Buffer): void {
    if (this.destroyed) return;
    const wasFinal = this.#decoder.isFinal;
    let pieces: Uint8Array[];
    try {
      pieces = this.#decoder.decode(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    // Many small ones together cost what their bytes do.
    const payload = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    const hasRoom = payload.length === 0 || this.push(payload);
    if (this.#decoder.isFinal && !wasFinal) this.push(null);
    // What comes behind the end is read all the same: else nobody would hear of an abort.
    else if (!hasRoom) this.#socket.pause();
  }

  #onEnd(): void {
    if (!this.#decoder.isFinal) this.destroy(cut());
    else if (!this.#decoder.isBetween) this.destroy(new RelayError("stream_protocol", "a capsule was cut"));
  }
}

function cut(): RelayError {
  return new RelayError("stream_cancelled", "the user's connection ended without FINAL_DATA");
}
