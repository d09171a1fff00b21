import type { Writable } from "node:stream";

/** Bytes on their way into a stream, at the pace at which it takes them. */
export interface Poured {
  /** How many it has taken once it takes no more, since whoever reads is slow. */
  still(): Promise<number>;
  readonly done: Promise<void>;
}

const PIECE_BYTES = 65_536;
const STILL_MS = 300;

/** @param before what is written in front of them, and not counted */
export function pour(to: Writable, bytes: Buffer, before: readonly Uint8Array[] = []): Poured {
  for (const piece of before) to.write(piece);
  let taken = 0;
  const done = new Promise<void>((resolve) => {
    const next = () => {
      if (taken === bytes.length) return resolve();
      const piece = bytes.subarray(taken, taken + PIECE_BYTES);
      to.write(piece, (error) => {
        taken += piece.length;
        if (error === undefined || error === null) next();
      });
    };
    next();
  });
  return {
    done,
    async still() {
      for (let last = -1; last !== taken;) {
        last = taken;
        await new Promise((resolve) => setTimeout(resolve, STILL_MS));
      }
      return taken;
    },
  };
}
