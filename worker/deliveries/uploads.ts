import { RelayError } from "../../protocol/errors.ts";
import { INTAKE_BYTES } from "../limits.ts";

/** What the bodies hold that an isolate takes in at present: whoever sends them, together they have to fit into its memory. */
export class Uploads {
  #held = 0;

  /**
   * Makes room for a body.
   * @param bytes that are held of it at most
   * @returns gives the room back, once
   * @throws RelayError `concurrency_limited`
   */
  admit(bytes: number): () => void {
    if (this.#held + bytes > INTAKE_BYTES) {
      throw new RelayError("concurrency_limited", "the edge takes in as many bodies as it can hold", {
        retryAfter: 1,
      });
    }
    this.#held += bytes;
    let isGiven = false;
    return () => {
      if (!isGiven) this.#held -= bytes;
      isGiven = true;
    };
  }
}
