import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { readBatch } from "../protocol/consumed-entries.ts";
import { isRelayError, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import type { BoundKey } from "../protocol/keys.ts";
import { CONSUMED_BATCH_MAX_BYTES } from "../protocol/limits.ts";
import { type PeerAct, verifyNodeMessage } from "../protocol/node-messages.ts";
import { writeFailure } from "./answer.ts";
import type { ConsumedIds } from "./consumed.ts";
import { CONSUMED_PIECE_BYTES } from "./limits.ts";
import type { Self } from "./peer-client.ts";
import { readWhole } from "./request-body.ts";

/** What the door takes and gives. */
export interface PeerDoorOptions {
  readonly self: Self;
  /** The other nodes' public keys, by id. */
  readonly keys: ReadonlyMap<string, BoundKey>;
  readonly consumed: ConsumedIds;
  /** Is told of each peer whose message was proven. */
  readonly onPeer: (id: string) => void;
}

/**
 *   peer ──POST /consumed, signed, lines──▶ judge ▶ note
 *   peer ──POST /consumed/read, signed────▶ judge ▶ all lines that are remembered
 *
 * No byte of a body is read before the message's token is proven, and no more than its signed digest can be of.
 */
export class PeerDoor {
  readonly #options: PeerDoorOptions;

  constructor(options: PeerDoorOptions) {
    this.#options = options;
  }

  async serve(request: IncomingMessage, response: ServerResponse, act: PeerAct): Promise<void> {
    const { self, keys, consumed, onPeer } = this.#options;
    try {
      const authorization = request.headers[WIRE.authorization] as string | undefined;
      const context = { audience: self.id, nodes: keys, act, now: self.now() };
      const { iss, digest } = await verifyNodeMessage(authorization, context);
      onPeer(iss);
      const length = lengthOf(request, act === "consumed" ? CONSUMED_BATCH_MAX_BYTES : 0);
      const body = await readWhole(request, { length, digest, tail: 0 });
      if (act === "consumed") {
        consumed.hear(readBatch(body.toString("latin1")), self.now());
        response.writeHead(204).end();
      } else await tellAll(consumed, response);
    } catch (error) {
      const failure = isRelayError(error)
        ? error
        : new RelayError("node_internal", "the node failed", { cause: error });
      if (response.headersSent) response.destroy();
      else writeFailure(response, failure, { node: self.id });
      if (!request.complete) response.once("finish", () => request.destroy());
    }
  }
}

/** @throws RelayError `request_invalid`, `too_large` */
function lengthOf({ headers, destroyed }: IncomingMessage, max: number): number {
  if (destroyed) throw new RelayError("body_cut", "the peer went away", { reached: "no" });
  if (headers["transfer-encoding"] !== undefined) {
    throw new RelayError("request_invalid", "a message between nodes has a Content-Length");
  }
  const length = Number(headers["content-length"] ?? 0);
  if (length > max) throw new RelayError("too_large", `the message has more than ${max} bytes`);
  return length;
}

async function tellAll(consumed: ConsumedIds, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "Content-Type": "text/plain", "Cache-Control": "no-store" });
  await pipeline(Readable.from(pieces(consumed), { objectMode: false }), response);
}

/** The first line says since when this node knows what it used itself. */
function* pieces(consumed: ConsumedIds): Generator<Buffer> {
  let piece = `since ${consumed.since}\n`;
  for (const line of consumed.lines()) {
    piece += `${line}\n`;
    if (piece.length < CONSUMED_PIECE_BYTES) continue;
    yield Buffer.from(piece, "latin1");
    piece = "";
  }
  if (piece !== "") yield Buffer.from(piece, "latin1");
}
