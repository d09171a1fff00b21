import type { Connection } from "../tcp/connection.ts";

/**
 * Takes all that a paused source has read and nobody has taken: it came before whatever the source reads from now on.
 *
 * @param head what came before that
 */
export function takeHeld(source: Connection, head: Buffer): Buffer {
  // One call takes all, or one piece of it: Node's versions differ.
  const pieces = [head];
  while (source.readableLength > 0) {
    const piece = source.read() as Buffer | null;
    if (piece === null) break;
    pieces.push(piece);
  }
  return pieces.length === 1 ? head : Buffer.concat(pieces);
}
