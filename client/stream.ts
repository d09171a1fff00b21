import type { Interest } from "./cancel.ts";
import { decodeBody } from "./decode.ts";
import { DRAIN_MAX_BYTES } from "./limits.ts";

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;
type Chunk = ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;

/** A response body in mid-read: what came beyond the bytes that were asked for stays in `rest`. */
export interface Source {
  readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly rest: Uint8Array<ArrayBuffer> | undefined;
}

/** Takes exactly `size` bytes from the front of a stream; `bytes` is undefined where it ends before. */
export async function takeFront(
  stream: Bytes,
  size: number,
): Promise<Source & { readonly bytes: Uint8Array | undefined }> {
  const reader = stream.getReader();
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { done, value } = await reader.read();
    if (done) return { reader, rest: undefined, bytes: undefined };
    const part = value.subarray(0, size - filled);
    bytes.set(part, filled);
    filled += part.length;
    if (part.length < value.length) return { reader, rest: value.slice(part.length), bytes };
  }
  return { reader, rest: undefined, bytes };
}

/** Makes the error a reader sees out of how a body ended: by an error, or short or long by its Content-Length. */
export type CutError = (why: string, cause?: unknown) => unknown;

/** What a target's body is held to, and who is told how it ends. */
export interface BodyRules {
  readonly length: number | undefined;
  readonly formats: readonly string[];
  readonly cut: CutError;
  readonly interest: Interest;
}

/**
 * The target's body as it came, held to its length: one that ends early errors, so that a part never looks whole.
 * Where `formats` are given, they are undone one after another.
 */
export function targetBody(source: Source, { length, formats, cut, interest }: BodyRules): Bytes {
  let failure: { readonly reason: unknown } | undefined;
  const fail = (why: string, cause?: unknown) => {
    failure = { reason: cut(why, cause) };
    return failure.reason;
  };
  const raw = checked(source, length, fail, interest);
  if (formats.length === 0) return raw;
  let decoded = raw;
  for (const format of formats) decoded = decodeBody(decoded, format);
  // A decoder reports the loss of its input in its own words; the reader gets the first cause.
  return mapError(decoded, (cause) =>
    failure === undefined
      ? new TypeError("the body does not decode by its Content-Encoding", { cause })
      : failure.reason,
  );
}

function checked(
  { reader, rest }: Source,
  length: number | undefined,
  fail: CutError,
  interest: Interest,
): Bytes {
  let front = rest;
  let seen = 0;
  return byteStream(
    async () => {
      let chunk: Chunk;
      try {
        chunk = front === undefined ? await reader.read() : { done: false, value: front };
        front = undefined;
      } catch (cause) {
        interest.giveUp();
        throw fail(`the connection ended ${progress(seen, length)}`, cause);
      }
      if (chunk.done) {
        interest.over();
        if (length !== undefined && seen !== length) throw fail(`the body ended ${progress(seen, length)}`);
        return chunk;
      }
      seen += chunk.value.byteLength;
      if (length !== undefined && seen > length) {
        interest.over();
        await reader.cancel().catch(() => {});
        throw fail(`the body is longer than its Content-Length of ${length} bytes`);
      }
      return chunk;
    },
    (reason) => {
      interest.giveUp();
      return reader.cancel(reason);
    },
  );
}

function mapError(stream: Bytes, map: (cause: unknown) => unknown): Bytes {
  const reader = stream.getReader();
  const read = async () => {
    try {
      return await reader.read();
    } catch (cause) {
      throw map(cause);
    }
  };
  return byteStream(read, (reason) => reader.cancel(reason));
}

/** A byte stream, as a native body is one, out of a read and a cancel function. */
function byteStream(read: () => Promise<Chunk>, cancel: (reason: unknown) => Promise<void>): Bytes {
  return new ReadableStream({
    type: "bytes",
    pull: async (controller) => {
      let chunk: Chunk;
      do {
        chunk = await read();
      } while (!chunk.done && chunk.value.byteLength === 0);
      if (!chunk.done) return controller.enqueue(chunk.value);
      controller.close();
      // A pending BYOB read is settled by this alone.
      controller.byobRequest?.respond(0);
    },
    cancel,
  });
}

function progress(seen: number, length: number | undefined): string {
  return length === undefined ? `after ${seen} bytes` : `after ${seen} of ${length} bytes`;
}

/** Reads a body that nobody wants to its end, so that its connection is free again; cancels one that is long. */
export async function drain(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  max = DRAIN_MAX_BYTES,
): Promise<void> {
  try {
    for (let size = 0; size <= max;) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.byteLength;
    }
    await reader.cancel();
  } catch {
    // It broke: then there is nothing left to free.
  }
}

/** The text of a body up to a limit; what is cut off or breaks is left out. */
export async function readText(stream: Bytes | null, max: number): Promise<string> {
  if (stream === null) return "";
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (text.length <= max) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
  } catch {
    // What was read so far is enough.
  }
  return text;
}
