import { RelayError } from "./errors.ts";
import { CAPSULE_UNKNOWN_MAX_BYTES } from "./limits.ts";

/**
 * The capsules of draft-ietf-httpbis-connect-tcp, under the types that the draft sets for tests before the RFC: DATA-08 and
 * FINAL_DATA-08.
 */
export const CAPSULE = { data: 0x2028d7f0, finalData: 0x2028d7f1 } as const;

/** The longest head of a capsule: two integers of variable length (RFC 9000 section 16) of 8 bytes each. */
const HEAD_MAX_BYTES = 16;

/**
 * Reads TCP's bytes out of capsules (RFC 9297 section 3.2), however the wire is cut. A payload is passed on as it comes; a
 * head is all that is ever kept. Capsules of other types are dropped.
 *
 * @example
 * for (const piece of decoder.decode(chunk)) target.write(piece);
 * if (decoder.isFinal) target.end();
 */
export class CapsuleDecoder {
  readonly #head = new Uint8Array(HEAD_MAX_BYTES);
  #headBytes = 0;
  /** The capsule whose payload comes; undefined: a head comes. */
  #type: number | undefined;
  /** Bytes of it that are to come. */
  #left = 0;
  #isFinal = false;

  /** FINAL_DATA has come whole: the sender has ended. */
  get isFinal(): boolean {
    return this.#isFinal;
  }

  /** Nothing of a capsule has come but whole ones. */
  get isBetween(): boolean {
    return this.#type === undefined && this.#headBytes === 0;
  }

  /**
   * @returns the payload in it, in order, as parts of `chunk`
   * @throws RelayError `stream_protocol`: data behind the final one, or a capsule that is too long
   */
  decode(chunk: Uint8Array): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#type === undefined) {
        this.#head[this.#headBytes++] = chunk[at++]!;
        this.#begin();
        continue;
      }
      const bytes = Math.min(this.#left, chunk.length - at);
      if (isData(this.#type)) pieces.push(chunk.subarray(at, at + bytes));
      at += bytes;
      this.#left -= bytes;
      if (this.#left === 0) this.#end();
    }
    return pieces;
  }

  /** Begins a capsule, if its head is whole. */
  #begin(): void {
    const head = this.#head.subarray(0, this.#headBytes);
    const type = readInteger(head, 0);
    const length = type === undefined ? undefined : readInteger(head, type.length);
    if (type === undefined || length === undefined) return;
    this.#headBytes = 0;
    this.#type = type.value;
    this.#left = length.value;
    const most = isData(type.value) ? Number.MAX_SAFE_INTEGER : CAPSULE_UNKNOWN_MAX_BYTES;
    if (length.value > most) throw broken(`a capsule is longer than ${most} bytes`);
    if (this.#isFinal && isData(type.value)) throw broken("data came behind the final data");
    if (this.#left === 0) this.#end();
  }

  #end(): void {
    if (this.#type === CAPSULE.finalData) this.#isFinal = true;
    this.#type = undefined;
  }
}

/** What stands before a payload of so many bytes. */
export function capsuleHead(type: number, bytes: number): Uint8Array {
  const [first, second] = [encodeInteger(type), encodeInteger(bytes)];
  const head = new Uint8Array(first.length + second.length);
  head.set(first);
  head.set(second, first.length);
  return head;
}

function isData(type: number): boolean {
  return type === CAPSULE.data || type === CAPSULE.finalData;
}

/**
 * An integer of variable length (RFC 9000 section 16), in as many bytes as its sender liked; what is beyond 2^53 is not
 * exact. Undefined: more bytes are needed.
 */
function readInteger(bytes: Uint8Array, at: number): { value: number; length: number } | undefined {
  if (at >= bytes.length) return undefined;
  const length = 1 << (bytes[at]! >> 6);
  if (bytes.length < at + length) return undefined;
  let value = bytes[at]! & 0x3f;
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i]!;
  return { value, length };
}

/** In as few bytes as there can be. */
function encodeInteger(value: number): Uint8Array {
  const power = [0x40, 0x4000, 0x4000_0000].findIndex((end) => value < end);
  const length = 1 << (power === -1 ? 3 : power);
  const bytes = new Uint8Array(length);
  let left = value;
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = left % 256;
    left = Math.floor(left / 256);
  }
  bytes[0]! |= Math.log2(length) << 6;
  return bytes;
}

function broken(why: string): RelayError {
  return new RelayError("stream_protocol", why);
}
