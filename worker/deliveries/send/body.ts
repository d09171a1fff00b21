import { BUFFERED_BODY_BYTES } from "../../../protocol/limits.ts";
import { joinBytes } from "../../join-bytes.ts";
import type { Upload } from "../../upload.ts";
import type { StoredBody } from "../attempt-result.ts";
import { UnreadableError } from "./failure.ts";

/** A stored body whose reading tells that something of it is missing. */
export function checkedBody(body: StoredBody): StoredBody {
  return {
    size: body.size,
    *chunks() {
      let size = 0;
      try {
        for (const chunk of body.chunks()) {
          size += chunk.length;
          yield chunk;
        }
      } catch (cause) {
        throw new UnreadableError("its body is not there", { cause });
      }
      if (size !== body.size) throw new UnreadableError(`its body has ${size} bytes of ${body.size}`);
    },
  };
}

/** A stored body on its way to a node. */
export interface Feed {
  readonly upload: Upload;
  /** Why it could not be fed to its end, where that is the body's own fault. */
  readonly failure: () => unknown;
}

/**
 * Holds a small body; feeds a longer one a chunk at a time. A stream of JavaScript's own would end cleanly where it breaks off: one
 * of a fixed length doesn't, and the call is given up besides.
 *
 * @param giveUp ends the call
 */
export function feedBody(body: StoredBody, giveUp: AbortController): Feed {
  if (body.size <= BUFFERED_BODY_BYTES) {
    const bytes = joinBytes([...body.chunks()], body.size);
    return { upload: { kind: "held", bytes }, failure: () => undefined };
  }
  const { readable, writable } = new FixedLengthStream(body.size);
  let failure: unknown;
  const feed = async () => {
    const writer = writable.getWriter();
    const chunks = body.chunks()[Symbol.iterator]();
    for (;;) {
      let next: IteratorResult<Uint8Array<ArrayBuffer>>;
      try {
        next = chunks.next();
      } catch (error) {
        failure = error;
        giveUp.abort(error);
        await writer.abort(error);
        return;
      }
      if (next.done === true) break;
      await writer.write(next.value);
    }
    await writer.close();
  };
  // That its reader is gone, the call itself tells.
  feed().catch(() => {});
  return { upload: { kind: "stream", body: readable }, failure: () => failure };
}
