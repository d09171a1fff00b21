import { isUtf8 } from "node:buffer";
import { ByteQueue } from "../../protocol/byte-queue.ts";
import { FrameError } from "./frame-error.ts";
import { CONTROL_MAX_BYTES, FRAME_HEAD_MAX_BYTES, TEXT_MAX_BYTES } from "./limits.ts";
import { unmask } from "./mask.ts";

/** What a reader tells. Buffers are the reader's own: what is to stay of them has to be copied. */
export interface FrameEvents {
  /**
   * A piece of a binary message, as it comes.
   * @param isLast whether it is the end of its frame
   */
  bytes(piece: Buffer, isLast: boolean): void;
  /** A text message, whole. */
  text(message: Buffer): void;
  ping(payload: Buffer): void;
  pong(): void;
  /** The other end closes; nothing is read any more. @param code 1005 where it gave none */
  close(code: number): void;
}

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/**
 * Reads a client's frames out of bytes as they come, in however large pieces (RFC 6455 section 5). A binary message is handed on in
 * pieces as it comes, unmasked in place; all else is gathered.
 */
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #maxMessage: number;
  /** A head that has come in part. */
  readonly #head = Buffer.alloc(FRAME_HEAD_MAX_BYTES);
  #headLength = 0;
  /** Of the frame that comes: undefined between two frames. */
  #opcode: number | undefined;
  #isFinal = false;
  #mask = 0;
  #at = 0;
  #left = 0;
  /** Of the message that comes in several frames. */
  #message: typeof OPCODE.text | typeof OPCODE.binary | undefined;
  #messageLength = 0;
  /** However small its pieces are, it costs about twice its bytes. */
  readonly #text = new ByteQueue();
  #control: Buffer[] = [];
  #isOver = false;

  /** @param maxMessage bytes of a message, in however many frames it comes */
  constructor(maxMessage: number, events: FrameEvents) {
    this.#maxMessage = maxMessage;
    this.#events = events;
  }

  /** @throws FrameError where the other end breaks the rules; nothing must be read then any more */
  read(chunk: Buffer): void {
    let at = 0;
    while (!this.#isOver && at < chunk.length) {
      if (this.#opcode === undefined) at = this.#readHead(chunk, at);
      else {
        const end = Math.min(at + this.#left, chunk.length);
        this.#payload(chunk.subarray(at, end));
        at = end;
      }
    }
  }

  /** @returns where it stopped */
  #readHead(chunk: Buffer, from: number): number {
    if (this.#headLength === 0) {
      const length = headLength(chunk, from, chunk.length);
      if (length !== undefined) {
        this.#begin(chunk, from, length);
        return from + length;
      }
    }
    // It comes in pieces.
    let at = from;
    while (at < chunk.length) {
      this.#head[this.#headLength++] = chunk[at++]!;
      const length = headLength(this.#head, 0, this.#headLength);
      if (length === undefined) continue;
      this.#headLength = 0;
      this.#begin(this.#head, 0, length);
      break;
    }
    return at;
  }

  #begin(head: Buffer, at: number, length: number): void {
    const [first, second] = [head[at]!, head[at + 1]!];
    if ((first & 0x70) !== 0) throw new FrameError(1_002, "a reserved bit is set");
    if ((second & 0x80) === 0) throw new FrameError(1_002, "a client's frame is not masked");
    const opcode = first & 0x0f;
    const isFinal = (first & 0x80) !== 0;
    const size = payloadLength(head, at);
    this.#check(opcode, isFinal, size);
    this.#mask = head.readInt32BE(at + length - 4);
    this.#opcode = opcode;
    this.#isFinal = isFinal;
    this.#at = 0;
    this.#left = size;
    if (size === 0) this.#payload(head.subarray(0, 0));
  }

  #check(opcode: number, isFinal: boolean, size: number): void {
    if (opcode >= OPCODE.close) {
      if (opcode > OPCODE.pong) throw new FrameError(1_002, `there is no opcode ${opcode}`);
      if (!isFinal) throw new FrameError(1_002, "a control frame is a message's part");
      if (size > CONTROL_MAX_BYTES) throw new FrameError(1_002, "a control frame is too long");
      return;
    }
    if (opcode === OPCODE.continuation) {
      if (this.#message === undefined) throw new FrameError(1_002, "there is no message to go on with");
    } else {
      if (opcode !== OPCODE.text && opcode !== OPCODE.binary) {
        throw new FrameError(1_002, `there is no opcode ${opcode}`);
      }
      if (this.#message !== undefined) throw new FrameError(1_002, "a message begins within another");
      this.#message = opcode;
      this.#messageLength = 0;
    }
    this.#messageLength += size;
    const most =
      this.#message === OPCODE.text ? Math.min(this.#maxMessage, TEXT_MAX_BYTES) : this.#maxMessage;
    if (this.#messageLength > most) throw new FrameError(1_009, "a message is too long");
  }

  #payload(piece: Buffer): void {
    if (piece.length > 0) unmask(piece, this.#mask, this.#at);
    this.#at += piece.length;
    this.#left -= piece.length;
    const opcode = this.#opcode!;
    const isLast = this.#left === 0;
    if (isLast) this.#opcode = undefined;
    if (opcode >= OPCODE.close) this.#takeControl(opcode, piece, isLast);
    else if (this.#message === OPCODE.binary) {
      if (isLast && this.#isFinal) this.#message = undefined;
      if (piece.length > 0) this.#events.bytes(piece, isLast);
    } else this.#takeText(piece, isLast);
  }

  #takeText(piece: Buffer, isLast: boolean): void {
    const isWhole = isLast && this.#isFinal;
    if (!isWhole) {
      this.#text.push(Buffer.from(piece));
      return;
    }
    this.#message = undefined;
    const message = this.#text.size === 0 ? piece : Buffer.concat([...this.#text.from(0), piece]);
    this.#text.clear();
    if (!isUtf8(message)) throw new FrameError(1_007, "a text is no UTF-8");
    this.#events.text(message);
  }

  #takeControl(opcode: number, piece: Buffer, isLast: boolean): void {
    if (!isLast) {
      this.#control.push(Buffer.from(piece));
      return;
    }
    const payload = this.#control.length === 0 ? piece : Buffer.concat([...this.#control, piece]);
    this.#control = [];
    if (opcode === OPCODE.ping) this.#events.ping(payload);
    else if (opcode === OPCODE.pong) this.#events.pong();
    else {
      const code = closeCode(payload);
      this.#isOver = true;
      this.#events.close(code);
    }
  }
}

/** The length of the head that begins here; undefined where not enough of it has come to tell. */
function headLength(bytes: Buffer, at: number, end: number): number | undefined {
  if (end - at < 2) return undefined;
  const second = bytes[at + 1]!;
  const size = second & 0x7f;
  const length = 2 + (size === 127 ? 8 : size === 126 ? 2 : 0) + ((second & 0x80) === 0 ? 0 : 4);
  return end - at < length ? undefined : length;
}

function payloadLength(head: Buffer, at: number): number {
  const size = head[at + 1]! & 0x7f;
  if (size < 126) return size;
  if (size === 126) return head.readUInt16BE(at + 2);
  if (head.readUInt16BE(at + 2) !== 0) throw new FrameError(1_009, "a message is too long");
  return head.readUIntBE(at + 4, 6);
}

/** RFC 6455 sections 5.5.1 and 7.4. */
function closeCode(payload: Buffer): number {
  if (payload.length === 0) return 1_005;
  if (payload.length === 1) throw new FrameError(1_002, "a close code is two bytes");
  const code = payload.readUInt16BE(0);
  const isOne =
    (code >= 1_000 && code <= 1_014 && code !== 1_004 && code !== 1_005 && code !== 1_006) ||
    (code >= 3_000 && code <= 4_999);
  if (!isOne) throw new FrameError(1_002, `there is no close code ${code}`);
  if (!isUtf8(payload.subarray(2))) throw new FrameError(1_007, "a reason is no UTF-8");
  return code;
}
