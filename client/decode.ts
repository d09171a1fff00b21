import { CODINGS_MAX } from "./limits.ts";

type Bytes = ReadableStream<Uint8Array<ArrayBuffer>>;

/** Content-Encoding tokens (RFC 9110 section 8.4.1, RFC 7932, RFC 8878) and what DecompressionStream calls them. */
const CODINGS = [
  { token: "gzip", format: "gzip" },
  { token: "deflate", format: "deflate" },
  { token: "br", format: "brotli" },
  { token: "zstd", format: "zstd" },
] as const;

let supported: ReadonlyMap<string, string> | undefined;

/** Codings that this runtime can undo, by token. Probed once: runtimes differ, and no list of theirs can be asked. */
function supportedCodings(): ReadonlyMap<string, string> {
  supported ??= new Map(
    CODINGS.filter(({ format }) => {
      try {
        return Boolean(new DecompressionStream(format as CompressionFormat));
      } catch {
        return false;
      }
    }).map(({ token, format }) => [token, format]),
  );
  return supported;
}

/** The Accept-Encoding of what can be decoded here; undefined where nothing can. */
export function acceptEncoding(): string | undefined {
  return [...supportedCodings().keys()].join(", ") || undefined;
}

/**
 * The formats that undo a Content-Encoding, in the order to apply them. Empty where there is nothing to undo, or where
 * one of the codings is unknown here: then the bytes stay as they are.
 *
 * @example decodersFor("gzip, br") // ["brotli", "gzip"]
 */
export function decodersFor(contentEncoding: string | null): readonly string[] {
  if (contentEncoding === null) return [];
  const formats: string[] = [];
  for (const item of contentEncoding.split(",")) {
    const token = item.trim().toLowerCase();
    if (token === "" || token === "identity") continue;
    const format = supportedCodings().get(token === "x-gzip" ? "gzip" : token);
    if (format === undefined) return [];
    formats.unshift(format);
  }
  return formats.length > CODINGS_MAX ? [] : formats;
}

/** Pipes a body through one decoder, made at its first byte: an empty body stays empty, whatever its coding says. */
export function decodeBody(body: Bytes, format: string): Bytes {
  const reader = body.getReader();
  let decoded: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  let cancelled = false;
  return new ReadableStream(
    {
      pull: async (controller) => {
        if (decoded === undefined) {
          const first = await reader.read();
          if (cancelled) return;
          if (first.done) return controller.close();
          const decoder = new DecompressionStream(streamFormat(format, first.value) as CompressionFormat);
          decoded = resume(first.value, reader).pipeThrough(decoder).getReader();
        }
        const { done, value } = await decoded.read();
        if (cancelled) return;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async (reason) => {
        cancelled = true;
        await (decoded ?? reader).cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stream that a reader was taken from, its first chunk put back in front. */
function resume(
  first: Uint8Array<ArrayBuffer>,
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): Bytes {
  return new ReadableStream(
    {
      start: (controller) => controller.enqueue(first),
      pull: async (controller) => {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Many servers send raw DEFLATE where RFC 9110 section 8.4.1.2 asks for zlib's format; its first byte tells. */
function streamFormat(format: string, first: Uint8Array): string {
  return format === "deflate" && (first[0]! & 0x0f) !== 0x08 ? "deflate-raw" : format;
}
