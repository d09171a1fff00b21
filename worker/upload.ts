import { RelayError } from "../protocol/errors.ts";
import { BUFFERED_BODY_BYTES } from "../protocol/limits.ts";
import type { Framing } from "../protocol/claims.ts";

/** A request's body on its way to a node: held whole, so that it can be sent again, or the caller's own stream. */
export type Upload =
  | { readonly kind: "held"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "stream"; readonly body: ReadableStream };

/**
 * Takes a small body of a known length whole; any other goes on as it is: nothing here wraps a stream, since one of
 * JavaScript's that fails in mid-upload ends cleanly in workerd, and a node would take a cut body for a whole one.
 *
 * @throws RelayError `body_cut`, with nothing sent
 */
export async function takeUpload(request: Request, framing: Framing): Promise<Upload> {
  const length = framing === "none" ? 0 : framing;
  // A body without bytes need not be asked for them: HTTP itself holds it to its Content-Length.
  if (length === 0 && isEmpty(request)) return { kind: "held", bytes: new Uint8Array() };
  const { body } = request;
  if (body === null) return { kind: "held", bytes: new Uint8Array() };
  if (length === "chunked" || length > BUFFERED_BODY_BYTES) return { kind: "stream", body };
  return { kind: "held", bytes: await readExactly(body, length) };
}

function isEmpty({ headers }: Request): boolean {
  return headers.get("content-length") === "0" && !headers.has("transfer-encoding");
}

async function readExactly(body: ReadableStream, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const cut = (why: string, cause?: unknown) => new RelayError("body_cut", why, { reached: "no", cause });
  const bytes = new Uint8Array(length);
  let size = 0;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (size + part.value.length > length) {
        throw cut(`the body has more than the ${length} bytes that were signed`);
      }
      bytes.set(part.value, size);
      size += part.value.length;
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof RelayError ? error : cut("the caller went away before the body's end", error);
  }
  if (size !== length) throw cut(`the body has ${size} bytes, ${length} were signed`);
  return bytes;
}

/** Whether a held body has left the edge whole: `no` is certain, `maybe` is all the rest. */
export type Handed = "no" | "maybe";

/** A held body with a tail behind it, for a request that must not be made twice. */
export interface Tailed {
  readonly body: ReadableStream;
  /** Bytes of the tail. */
  readonly tail: number;
  /** Whether it may have left whole by now. */
  isHanded(): boolean;
  /** To be asked when the call has failed. */
  handed(): Promise<Handed>;
}

/**
 * How many pieces the runtime may take into its buffers while it has not even connected, and one more. Seen with workerd:
 * three. Where it takes more, a request that never began is not known as such, and nothing worse.
 */
const PIECES = 4;

/**
 * Sends a held body so that afterwards it is known whether it can have arrived: in pieces, the last ones a byte each, of a
 * declared length. The runtime asks for the last piece only when it has got rid of an earlier one, for which it needs a
 * connection, and a node begins nothing before the last byte has come. So a refused connection, a handshake that was never
 * completed or a network that swallowed it are told from a node that may have begun, which the runtime's own error doesn't.
 *
 * @example const { body, tail, handed } = tailed(bytes); // the grant says `tail`
 */
export function tailed(bytes: Uint8Array<ArrayBuffer>): Tailed {
  const pieces = bytes.length === 0 ? [] : [bytes];
  while (pieces.length < PIECES) pieces.push(new Uint8Array(1));
  const tail = bytes.length === 0 ? PIECES : PIECES - 1;
  const { readable, writable } = new FixedLengthStream(bytes.length + tail);
  let handed: Handed = "maybe";
  let taken = false;
  const feed = async () => {
    const writer = writable.getWriter();
    try {
      for (const piece of pieces) await writer.write(piece);
    } catch {
      handed = "no";
      return;
    }
    taken = true;
    await writer.close();
  };
  const fed = feed().catch(() => {});
  return {
    body: readable,
    tail,
    isHanded: () => taken,
    async handed() {
      // The stream hears of the failure in its own time.
      await Promise.race([fed, new Promise((done) => setTimeout(done, HANDED_MS))]);
      return handed;
    },
  };
}

/** How long a stream whose call has failed may take to hear of it. */
const HANDED_MS = 100;
