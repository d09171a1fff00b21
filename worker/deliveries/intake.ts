import type { Framing } from "../../protocol/claims.ts";
import type { Accepted } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { digestMember } from "../../protocol/tokens.ts";
import { RunningDigest } from "../digest.ts";
import type { Edge, Env } from "../edge.ts";
import { joinBytes } from "../join-bytes.ts";
import { DELIVERY_CHUNK_BYTES } from "../limits.ts";
import { acceptedOr, full } from "./accepting.ts";
import type { Refusal } from "./deliveries-object.ts";
import type { NewEvent } from "./event.ts";
import type { StorePlace } from "./owner.ts";
import { piecesOf, tooLarge } from "./pieces.ts";
import { storeAt, storeCall } from "./stores.ts";

/** What a body is fed to while it comes: a hash, an HMAC. */
export interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** A body that is to be stored. */
export interface Incoming {
  readonly body: ReadableStream | null;
  readonly framing: Framing;
  /** Who sends it: a client, or a stranger's address; undefined where nothing tells. */
  readonly sender: string | undefined;
  /** The longest that is taken. */
  readonly maxBytes: number;
  /** Up to this length it is held whole; a longer one is staged in its store. */
  readonly holdBytes: number;
  readonly sinks: readonly Sink[];
  /** Where it goes, and the id of its event, which is one of that place. */
  readonly place: StorePlace;
  readonly id: string;
}

/** A body that has come whole, and counts for nothing yet. */
export interface Taken {
  readonly size: number;
  /** RFC 9530 member of it. */
  readonly digest: string;
  /** The body where it is held; undefined where it is staged. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /**
   * Stores it with its event. To be called once.
   *
   * @param at another place and id, where the body, which is held, says where it belongs
   * @throws RelayError `storage_unavailable`, `delivery_conflict`, `backlog_full`
   */
  store(
    event: Omit<NewEvent, "id" | "size" | "digest">,
    at?: Pick<Incoming, "place" | "id">,
  ): Promise<Accepted>;
}

/**
 * Takes a body in while its sinks are fed, and hands it over when it is whole; what is not stored then is forgotten. However long
 * it is, no more of it is held than `holdBytes` and two pieces.
 *
 * @param use says whether it is good, and stores it
 * @throws RelayError `too_large`, `body_cut`, `concurrency_limited`, `backlog_full`, `storage_unavailable`, `edge_misconfigured`, and
 *   what `use` throws
 * @example
 * const mac = await Mac.begin("SHA-256", key);
 * const accepted = await takeIn({ ...incoming, sinks: [mac] }, edge, env, async (taken) => {
 *   if (!isSigned(await mac.end())) throw unsigned("is not signed by its route's secret");
 *   return taken.store(event);
 * });
 */
export async function takeIn<T>(
  incoming: Incoming,
  edge: Edge,
  env: Env,
  use: (taken: Taken) => Promise<T>,
): Promise<T> {
  const { body, framing, maxBytes, holdBytes } = incoming;
  if (!(await edge.sealing()).canSeal) {
    throw new RelayError("edge_misconfigured", "STORAGE_KEYS is not set: it seals what deliveries keep");
  }
  const length = framing === "none" ? 0 : framing;
  const expected = length === "chunked" ? undefined : length;
  if (expected !== undefined && expected > maxBytes) throw tooLarge(maxBytes);
  const giveBack = edge.uploads.admit(roomFor(expected, holdBytes), incoming.sender);
  const staging = new Staging(incoming, env);
  try {
    const digest = new RunningDigest("SHA-256");
    const sinks: readonly Sink[] = [digest, ...incoming.sinks];
    let held: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    for await (const piece of piecesOf(body, { expected, maxBytes })) {
      for (const sink of sinks) await sink.write(piece);
      size += piece.length;
      held.push(piece);
      if (size <= holdBytes) continue;
      for (const one of held) await staging.add(one);
      held = [];
    }
    const bytes = staging.isEmpty ? joinBytes(held, size) : undefined;
    const whole = { size, digest: digestMember(await digest.end()) };
    return await use({
      ...whole,
      bytes,
      store: (event, at = incoming) =>
        (bytes === undefined ? staging : new Staging(at, env)).store(
          { ...event, ...whole, id: at.id },
          bytes,
        ),
    });
  } finally {
    giveBack();
    await staging.end();
  }
}

/** What of a body is in its store, and counts for nothing before its event is there. */
class Staging {
  readonly #id: string;
  readonly #store: ReturnType<typeof storeAt>;
  #pieces = 0;
  #isOver = false;

  constructor({ place, id }: Pick<Incoming, "place" | "id">, env: Env) {
    this.#id = id;
    this.#store = storeAt(env, place);
  }

  get isEmpty(): boolean {
    return this.#pieces === 0;
  }

  async add(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    const n = this.#pieces++;
    if (!(await storeCall(() => this.#store.stage(this.#id, n, piece)))) throw full();
  }

  /** @param bytes the whole body where nothing is staged */
  async store(event: NewEvent, bytes: Uint8Array<ArrayBuffer> | undefined): Promise<Accepted> {
    // From here on nobody but the store knows whether it counts.
    this.#isOver = true;
    const store = this.#store;
    const answer = await storeCall<Accepted | Refusal>(async () => {
      if (bytes === undefined) return store.commit(event);
      return store.accept(event, bytes);
    });
    this.#isOver = answer.status === "stored";
    return acceptedOr(answer);
  }

  /** Has forgotten what did not come to count; what this can't reach, its store sweeps. */
  async end(): Promise<void> {
    if (this.#isOver || this.isEmpty) return;
    try {
      await this.#store.abandon(this.#id);
    } catch (error) {
      console.error("what was staged is not swept yet", error);
    }
  }
}

function roomFor(expected: number | undefined, holdBytes: number): number {
  return expected !== undefined && expected <= holdBytes ? expected : holdBytes + 2 * DELIVERY_CHUNK_BYTES;
}
