import { RelayError } from "../../protocol/errors.ts";
import { INTAKE_BYTES, INTAKE_BYTES_PER_SENDER } from "../limits.ts";

/** What the bodies hold that an isolate takes in at present: whoever sends them, together they have to fit into its memory. */
export class Uploads {
  #held = 0;
  readonly #bySender = new Map<string, number>();

  /**
   * Makes room for a body.
   * @param bytes that are held of it at most
   * @param sender whose it is: one who sends slowly must not keep all others from sending. Undefined where nothing tells
   * @returns gives the room back, once
   * @throws RelayError `concurrency_limited`
   */
  admit(bytes: number, sender: string | undefined): () => void {
    if (this.#held + bytes > INTAKE_BYTES) throw limited("the edge takes in as many bodies as it can hold");
    if (this.#of(sender) + bytes > INTAKE_BYTES_PER_SENDER) {
      throw limited("the edge takes in as many bodies of this sender as it can hold of one");
    }
    this.#hold(bytes, sender);
    let isGiven = false;
    return () => {
      if (!isGiven) this.#hold(-bytes, sender);
      isGiven = true;
    };
  }

  #of(sender: string | undefined): number {
    return sender === undefined ? 0 : (this.#bySender.get(sender) ?? 0);
  }

  #hold(bytes: number, sender: string | undefined): void {
    this.#held += bytes;
    if (sender === undefined) return;
    const held = this.#of(sender) + bytes;
    if (held > 0) this.#bySender.set(sender, held);
    else this.#bySender.delete(sender);
  }
}

function limited(why: string): RelayError {
  return new RelayError("concurrency_limited", why, { retryAfter: 1 });
}
