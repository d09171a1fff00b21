import { once } from "node:events";
import type { Readable } from "node:stream";

/** All that comes. Unlike a loop over the stream, it does not destroy a half-closed one. */
export async function allOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(stream, "end");
  return Buffer.concat(chunks);
}
