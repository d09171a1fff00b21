import { createHash, type Hash } from "node:crypto";
import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { RelayError } from "../protocol/errors.ts";
import { type Framing } from "../protocol/claims.ts";
import { digestMember } from "../protocol/tokens.ts";
import { WHOLE_BODY_MS } from "./limits.ts";

/**
 * A request's body on its way to the target: counted against its signed length, hashed against its signed digest, and cut
 * off, never ended, where it falls short. With a digest the last chunk stays here until the digest agrees, so that a
 * target never takes a wrong body for whole.
 *
 * It is the least that undici takes for a stream. A Readable would let undici look into its buffer and replace chunked
 * framing by a length where the end has already come.
 */
export class RequestBody extends EventEmitter {
  /** Bytes passed on. */
  bytes = 0;
  destroyed = false;
  /** The body is whole, and all of it was passed on. */
  ended = false;
  /** Told of each piece's length as it comes; where it says true, no more is read until `goOn`. */
  charge: ((bytes: number) => boolean) | undefined;
  /** Called once, when the body is first asked for. */
  onWanted: (() => void) | undefined;
  /** Nothing is read because the client has used its share of bytes up. */
  rests = false;
  readonly #source: IncomingMessage;
  readonly #length: number | undefined;
  readonly #digest: string | undefined;
  readonly #hash: Hash | undefined;
  #held: Buffer | undefined;
  #flowing = false;
  #isWanted = false;
  #received = 0;

  constructor(source: IncomingMessage, framing: Framing, digest: string | undefined) {
    super();
    this.#source = source;
    this.#length = typeof framing === "number" ? framing : undefined;
    this.#digest = digest;
    this.#hash = digest === undefined ? undefined : createHash("sha256");
  }

  resume(): this {
    if (!this.#flowing) {
      this.#flowing = true;
      this.onWanted?.();
      this.#source
        .on("data", this.#onData)
        .on("end", this.#onEnd)
        .on("close", this.#onClose)
        .on("error", this.#onClose);
      if (this.#source.readableEnded) this.#onEnd();
      else if (this.#source.destroyed) this.#onClose();
    }
    this.#isWanted = true;
    if (!this.rests) this.#source.resume();
    return this;
  }

  /** The client may send more. */
  goOn(): void {
    if (!this.rests) return;
    this.rests = false;
    if (this.destroyed) return;
    this.emit("goOn");
    if (this.#isWanted) this.#source.resume();
  }

  pause(): this {
    this.#isWanted = false;
    this.#source.pause();
    return this;
  }

  /** undici takes for a stream what has a pipe; it never calls it. */
  pipe(): never {
    throw new TypeError("a request body is read by its events");
  }

  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#source.off("data", this.#onData).off("end", this.#onEnd).off("close", this.#onClose);
    this.#held = undefined;
    if (error !== undefined && this.listenerCount("error") > 0) this.emit("error", error);
    this.emit("close");
    return this;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.length;
    if (this.#length !== undefined && this.#received > this.#length) {
      this.destroy(
        new RelayError("body_cut", `the body has more than the ${this.#length} bytes that were signed`),
      );
      return;
    }
    if (this.charge?.(chunk.length) === true) {
      this.rests = true;
      this.#source.pause();
    }
    if (this.#hash === undefined) {
      this.#pass(chunk);
      return;
    }
    this.#hash.update(chunk);
    const ready = this.#held;
    this.#held = chunk;
    if (ready !== undefined) this.#pass(ready);
  };

  readonly #onEnd = (): void => {
    if (this.destroyed) return;
    if (!this.#source.complete) {
      this.#onClose();
      return;
    }
    if (this.#length !== undefined && this.#received !== this.#length) {
      this.destroy(
        new RelayError("body_cut", `the body has ${this.#received} bytes, ${this.#length} were signed`),
      );
      return;
    }
    if (this.#hash !== undefined && digestMember(this.#hash.digest()) !== this.#digest) {
      // Nothing has left if the only chunk is the one held.
      this.destroy(
        new RelayError("body_digest", "the body is not the one that was signed", {
          reached: this.bytes === 0 ? "no" : "yes",
        }),
      );
      return;
    }
    if (this.#held !== undefined) this.#pass(this.#held);
    this.#held = undefined;
    this.ended = true;
    this.emit("end");
  };

  readonly #onClose = (): void => {
    if (this.#source.complete && this.#source.readableEnded) return;
    this.destroy(new RelayError("body_cut", "the caller went away before the body's end"));
  };

  #pass(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.emit("data", chunk);
  }
}

/** What is to be read of a small body. */
export interface WholeBody {
  readonly length: number;
  readonly digest: string | undefined;
  /** Bytes behind it that are no part of it: whoever sends them has handed over all the rest before. */
  readonly tail: number;
}

/**
 * Reads a whole small body and checks it, before anything is dialled.
 * @throws RelayError `body_cut`, `body_digest`, both with nothing sent
 */
export async function readWhole(
  source: IncomingMessage,
  { length, digest, tail }: WholeBody,
): Promise<Buffer> {
  const expected = length + tail;
  const chunks: Buffer[] = [];
  let size = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cut = (why: string) => reject(new RelayError("body_cut", why, { reached: "no" }));
  const timer = setTimeout(
    () => cut(`the body did not come within ${WHOLE_BODY_MS / 1_000} s`),
    WHOLE_BODY_MS,
  );
  const onData = (chunk: Buffer) => {
    size += chunk.length;
    if (size > expected) cut(`the body has more than the ${length} bytes that were signed`);
    else chunks.push(chunk);
  };
  const onClose = () => cut("the caller went away before the body's end");
  source.on("data", onData).once("end", resolve).once("close", onClose).once("error", onClose);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    source.off("data", onData).off("end", resolve).off("close", onClose).off("error", onClose);
  }
  if (size !== expected) {
    const came = `the body has ${size} bytes, ${length} were signed`;
    throw new RelayError("body_cut", tail === 0 ? came : `${came} and ${tail} follow it`, { reached: "no" });
  }
  const body = (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)).subarray(0, length);
  if (digest !== undefined && digestMember(createHash("sha256").update(body).digest()) !== digest) {
    throw new RelayError("body_digest", "the body is not the one that was signed");
  }
  return body;
}

/** Whether a body follows the head. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
