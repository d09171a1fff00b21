import { type Framing } from "../protocol/claims.ts";
import { digestOf } from "../protocol/tokens.ts";
import { BLOB_DIGEST_MAX_BYTES, REQUEST_BODY_AT_HAND_BYTES } from "./limits.ts";

/** Where chunks come from: a stream's reader, or an iterator in its shape. */
interface Reader {
  readonly read: () => Promise<{ readonly done?: boolean | undefined; readonly value?: unknown }>;
  readonly cancel: (reason: unknown) => Promise<unknown>;
}

/**
 * Makes the stream to send.
 *
 * @param signal ends the fetch: then the caller's stream is cancelled
 * @param failed is called where the caller's stream fails, and must abort the fetch
 */
export type OpenUpload = (signal: AbortSignal, failed: (cause: unknown) => void) => ReadableStream;

/** A request's body, read as far as it must be for its token to be signed. */
export interface Body {
  readonly framing: Framing;
  /** What is handed to the underlying fetch. Where it is a stream, `open` makes it and can do so once. */
  readonly content: Uint8Array<ArrayBuffer> | Blob | { readonly open: OpenUpload } | null;
  readonly digest?: string;
  /** The Content-Type that fetch derives from the kind of body. */
  readonly type?: string;
}

/** No body: Fetch sends `Content-Length: 0` for POST and PUT, and nothing for the other methods. */
export function noBody(method: string): Body {
  return { framing: method === "POST" || method === "PUT" ? 0 : "none", content: null };
}

/** Whether a body can be sent again: nothing, something that can, or a stream that can't. */
export function bodyKind({ content }: Body): "none" | "replayable" | "stream" {
  if (content === null) return "none";
  return "open" in content ? "stream" : "replayable";
}

/** The same of an `init.body` that was not read yet. */
export function sourceOf(init: BodyInit | undefined): "none" | "replayable" | "stream" {
  if (init === undefined) return "none";
  return isStream(init) || isAsyncIterable(init) ? "stream" : "replayable";
}

/**
 * Reads what `init.body` may be. Strings, bytes, forms and small Blobs are copied, so that what is signed is what is sent;
 * streams and async iterables stay streams.
 */
export async function readBody(init: BodyInit | null | undefined, method: string): Promise<Body> {
  if (init === null || init === undefined) return noBody(method);
  if (isStream(init)) return streamBody(readerOf(init.getReader()), []);
  if (isAsyncIterable(init)) return streamBody(iteratorReader(init[Symbol.asyncIterator]()), []);
  if (init instanceof Blob && init.size > BLOB_DIGEST_MAX_BYTES) {
    return { framing: init.size, content: init, ...(init.type !== "" && { type: init.type }) };
  }
  // A Response serialises every kind as fetch does, forms with their boundary, and names its Content-Type.
  const serialised = new Response(init);
  const type = serialised.headers.get("content-type");
  return bytesBody(new Uint8Array(await serialised.arrayBuffer()), type ?? undefined);
}

/**
 * Reads the body of a Request object, which is always a stream: up to a limit it is taken for bytes at hand, so that
 * `fetch(new Request(url, { body: "…" }))` is sent with a length as by a native fetch.
 */
export async function readRequestBody(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal | undefined,
): Promise<Body> {
  const reader = readerOf(stream.getReader());
  const abort = () => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for (let size = 0; size <= REQUEST_BODY_AT_HAND_BYTES;) {
      const chunk = await nextChunk(reader);
      if (chunk === undefined) {
        return await bytesBody(new Uint8Array(await new Blob(chunks).arrayBuffer()), undefined);
      }
      chunks.push(chunk);
      size += chunk.byteLength;
    }
    return streamBody(reader, chunks);
  } catch (cause) {
    throw new TypeError("fetch failed", { cause });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function bytesBody(bytes: Uint8Array<ArrayBuffer>, type: string | undefined): Promise<Body> {
  return {
    framing: bytes.length,
    content: bytes,
    digest: await digestOf(bytes),
    ...(type !== undefined && { type }),
  };
}

function streamBody(reader: Reader, chunks: Uint8Array<ArrayBuffer>[]): Body {
  return { framing: "chunked", content: { open: upload(reader, chunks) } };
}

/**
 * Passes a caller's stream on. Where it fails, or the fetch has ended, the stream stays open: workerd ends an upload
 * cleanly whose stream errors or closes, and the target would take the part for the whole.
 */
function upload(reader: Reader, front: Uint8Array<ArrayBuffer>[]): OpenUpload {
  return (signal, failed) => {
    const cancel = async (reason: unknown) => {
      // What the caller's own cancel throws has nobody left to hear it.
      await reader.cancel(reason).catch(() => {});
    };
    signal.addEventListener("abort", () => void cancel(signal.reason), { once: true });
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => {
      try {
        const chunk = front.shift() ?? (await nextChunk(reader));
        if (signal.aborted) await new Promise(() => {});
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      } catch (cause) {
        failed(cause);
        await new Promise(() => {});
      }
    };
    return new ReadableStream<Uint8Array<ArrayBuffer>>({ pull, cancel }, { highWaterMark: 0 });
  };
}

function readerOf(reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>): Reader {
  return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason) };
}

function iteratorReader(iterator: AsyncIterator<unknown>): Reader {
  return { read: () => iterator.next(), cancel: async (reason) => iterator.return?.(reason) };
}

async function nextChunk(reader: Reader): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { done, value } = await reader.read();
  if (done === true) return undefined;
  if (!(value instanceof Uint8Array)) {
    throw new TypeError("a request body stream must yield Uint8Array chunks");
  }
  return value as Uint8Array<ArrayBuffer>;
}

function isStream(body: BodyInit): body is ReadableStream<Uint8Array<ArrayBuffer>> {
  return typeof body === "object" && "getReader" in body;
}

/** Node's streams and generators, which Node's own fetch takes too. */
function isAsyncIterable(body: unknown): body is AsyncIterable<Uint8Array<ArrayBuffer>> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
