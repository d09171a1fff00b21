import { RelayError } from "../protocol/errors.ts";
import type { Fetch } from "./wire.ts";

/** How something that an edge publishes is read. */
export interface PublishedOptions {
  /** In place of the global one. */
  readonly fetch?: Fetch | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads what an edge publishes below `/.well-known`.
 *
 * @param maxBytes the longest text that is read
 * @returns undefined where the edge answers 404: it has no such thing
 * @throws RelayError `edge_unreachable`, `edge_failed` (any other answer than 200); or the signal's reason
 */
export async function readPublished(
  url: string,
  maxBytes: number,
  { fetch = globalThis.fetch, signal }: PublishedOptions,
): Promise<string | undefined> {
  let response: Response;
  try {
    // A redirect would lead away from whom it is asked of.
    response = await fetch(url, { redirect: "manual", ...(signal !== undefined && { signal }) });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RelayError("edge_unreachable", `${url} can't be read`, { cause, reached: "no" });
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new RelayError("edge_failed", `${url} answered ${response.status}`, { reached: "no" });
  }
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  let size = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > maxBytes) break;
      chunks.push(decoder.decode(chunk, { stream: true }));
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RelayError("edge_unreachable", `${url} broke off`, { cause, reached: "no" });
  }
  if (size > maxBytes) {
    throw new RelayError("edge_failed", `${url} is longer than ${maxBytes} bytes`, { reached: "no" });
  }
  return chunks.join("");
}
