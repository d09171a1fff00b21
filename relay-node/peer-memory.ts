import { readEntries } from "../protocol/consumed-entries.ts";
import { RelayError } from "../protocol/errors.ts";
import type { ConsumedIds } from "./consumed.ts";
import { CONSUMED_PIECE_BYTES, CONSUMED_READ_MAX_BYTES } from "./limits.ts";
import type { PeerClient } from "./peer-client.ts";

/**
 * Reads what a peer remembers of used ids into this node's own memory. Where the peer itself has forgotten what came
 * before some moment, ids issued before that are refused here too: it may have used them.
 *
 * @param now seconds since 1970
 * @throws Error where the peer can't be asked, or its answer is cut, late, too long or of another form; what was read until
 *   then is noted
 */
export async function readMemory(
  peer: PeerClient,
  consumed: ConsumedIds,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const answer = await peer.send("consumed-read", new Uint8Array(), signal);
  let since: number | undefined;
  let rest = "";
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    rest += (chunk as Buffer).toString("latin1");
    const lines = rest.split("\n");
    rest = lines.pop()!;
    if (bytes > CONSUMED_READ_MAX_BYTES || rest.length > CONSUMED_PIECE_BYTES) {
      throw new RelayError("too_large", "the peer's memory is larger than any can be");
    }
    if (since === undefined && lines.length > 0) since = readSince(lines.shift()!);
    consumed.hear(readEntries(lines), now());
  }
  if (since === undefined || rest !== "") throw new RelayError("request_invalid", "the answer is cut");
  // A clock that is ahead must not keep this node out of service.
  consumed.refuseBefore(Math.min(since, now()));
}

function readSince(line: string): number {
  const since = /^since (\d{1,15})$/.exec(line)?.[1];
  if (since === undefined) throw new RelayError("request_invalid", "the answer has no first line");
  return Number(since);
}
