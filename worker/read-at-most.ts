import { joinBytes } from "./join-bytes.ts";

/** Reads a body whole; undefined where it is longer than it may be, whatever length was announced. */
export async function readAtMost(
  body: ReadableStream | null,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return joinBytes(chunks, size);
}
