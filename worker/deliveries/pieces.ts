import { RelayError } from "../../protocol/errors.ts";
import { DELIVERY_CHUNK_BYTES, INTAKE_DEADLINE_MS } from "../limits.ts";

/** What a body may be like. */
export interface Bounds {
  /** Its length where that is known. */
  readonly expected: number | undefined;
  readonly maxBytes: number;
}

/**
 * A body in pieces of DELIVERY_CHUNK_BYTES, the last one shorter.
 * @throws RelayError `too_large`, `body_cut` where it is not of the length that is expected, ends early or comes too slowly
 */
export async function* piecesOf(
  body: ReadableStream | null,
  { expected, maxBytes }: Bounds,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let total = 0;
  let piece = new Uint8Array(pieceBytes(expected));
  let filled = 0;
  for await (const part of partsOf(body)) {
    total += part.length;
    if (expected !== undefined && total > expected) throw wrongLength(total, expected);
    if (total > maxBytes) throw tooLarge(maxBytes);
    for (let from = 0; from < part.length;) {
      const more = part.subarray(from, from + piece.length - filled);
      piece.set(more, filled);
      filled += more.length;
      from += more.length;
      if (filled < DELIVERY_CHUNK_BYTES) continue;
      yield piece;
      piece = new Uint8Array(
        pieceBytes(expected === undefined ? undefined : expected - total + part.length - from),
      );
      filled = 0;
    }
  }
  if (expected !== undefined && total !== expected) throw wrongLength(total, expected);
  // A view of more than it shows would be sent to the store with all of that.
  if (filled > 0) yield filled === piece.length ? piece : piece.slice(0, filled);
}

/** The parts of a body as they come. */
async function* partsOf(body: ReadableStream | null): AsyncGenerator<Uint8Array, void> {
  if (body === null) return;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  let isLate = false;
  let isWhole = false;
  const giveUp = setTimeout(() => {
    isLate = true;
    reader.cancel().catch(() => {});
  }, INTAKE_DEADLINE_MS);
  try {
    for (let part = await read(reader); !part.done; part = await read(reader)) yield part.value;
    // What was cancelled ends like what is whole.
    if (isLate) throw cut(`the body has not come whole within ${INTAKE_DEADLINE_MS / 1_000} s`);
    isWhole = true;
  } finally {
    clearTimeout(giveUp);
    if (!isWhole) reader.cancel().catch(() => {});
  }
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (cause) {
    throw cut("the caller went away before the body's end", cause);
  }
}

function pieceBytes(left: number | undefined): number {
  return Math.min(left ?? DELIVERY_CHUNK_BYTES, DELIVERY_CHUNK_BYTES);
}

function cut(why: string, cause?: unknown): RelayError {
  return new RelayError("body_cut", why, { reached: "no", cause });
}

function wrongLength(size: number, expected: number): RelayError {
  return cut(
    `the body has ${size > expected ? "more than" : `${size} bytes of`} the ${expected} bytes that were announced`,
  );
}

/** A body beyond what is taken. */
export function tooLarge(maxBytes: number): RelayError {
  return new RelayError("too_large", `a body of at most ${maxBytes} bytes is taken`);
}
