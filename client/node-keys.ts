import type { JWK } from "jose";
import { RelayError } from "../protocol/errors.ts";
import { type BoundKey, importPublicKey } from "../protocol/keys.ts";
import {
  EGRESS_LIST_MAX_BYTES,
  NODE_KEYS_COOLDOWN_MS,
  NODE_KEYS_DEADLINE_MS,
  NODE_KEYS_MS,
} from "./limits.ts";
import { SharedTask } from "./shared-task.ts";
import { readText } from "./stream.ts";
import type { Fetch } from "./wire.ts";

/** Public keys by node id. */
export type PublishedKeys = ReadonlyMap<string, readonly BoundKey[]>;

const NONE: PublishedKeys = new Map();

/** The keys that nodes sign receipts with, as the edge publishes them in `/.well-known/egress.json`. */
export class NodeKeys {
  readonly #edge: string;
  readonly #underlying: () => Fetch;
  readonly #now: () => number;
  #keys: PublishedKeys | undefined;
  /** When the last fetch ended, whatever came of it, and when one last succeeded; milliseconds since 1970. */
  #tried = Number.NEGATIVE_INFINITY;
  #got = Number.NEGATIVE_INFINITY;
  readonly #fetching: SharedTask<void>;

  constructor(settings: {
    readonly edge: string;
    readonly underlying: () => Fetch;
    readonly now: () => number;
  }) {
    this.#edge = settings.edge;
    this.#underlying = settings.underlying;
    this.#now = settings.now;
    this.#fetching = new SharedTask(NODE_KEYS_DEADLINE_MS, settings.now);
  }

  /** The keys by node, as far as they are known. */
  get known(): PublishedKeys {
    return this.#keys ?? NONE;
  }

  /**
   * Makes sure that keys are known, and not older than 10 min while the edge answers. To be called before a request is
   * sent: one whose receipt nobody could verify had better not be made.
   *
   * @throws RelayError `edge_unreachable`, `edge_failed`, both with `reached: no`, where none were ever had
   */
  async ready(): Promise<void> {
    const isFresh = this.#now() - this.#got < NODE_KEYS_MS;
    if (this.#keys !== undefined && (isFresh || this.#fetching.isRunning || this.#isCooling())) return;
    try {
      await this.#fetch();
    } catch (error) {
      // Those that are known are good until others are published.
      if (this.#keys === undefined) throw error;
    }
  }

  /** Asks again, because a receipt did not hold by `known`; tells whether others are known now. */
  async renew(known: PublishedKeys): Promise<boolean> {
    const mayAsk = this.#fetching.isRunning || !this.#isCooling();
    if (this.known === known && mayAsk) await this.#fetch().catch(() => {});
    return this.known !== known;
  }

  #isCooling(): boolean {
    return this.#now() - this.#tried < NODE_KEYS_COOLDOWN_MS;
  }

  #fetch(): Promise<void> {
    return this.#fetching.run(async () => {
      try {
        this.#keys = await keysOf(await this.#read());
        this.#got = this.#now();
      } finally {
        this.#tried = this.#now();
      }
    });
  }

  async #read(): Promise<string> {
    const url = `${this.#edge}/.well-known/egress.json`;
    let answer: Response;
    try {
      answer = await this.#underlying()(url, { signal: AbortSignal.timeout(NODE_KEYS_DEADLINE_MS) });
    } catch (cause) {
      throw new RelayError("edge_unreachable", `${url} gave no answer`, { cause, reached: "no" });
    }
    const text = await readText(answer.body, EGRESS_LIST_MAX_BYTES);
    if (answer.ok) return text;
    throw new RelayError("edge_failed", `${url} answered ${answer.status}`, { reached: "no" });
  }
}

/** The keys in an address list; an entry that can't be read is left out, and its receipts don't hold. */
async function keysOf(text: string): Promise<PublishedKeys> {
  let nodes: unknown;
  try {
    ({ nodes } = JSON.parse(text) as { readonly nodes?: unknown });
  } catch {
    // The same as a list without nodes.
  }
  if (!Array.isArray(nodes)) {
    throw new RelayError("edge_failed", "egress.json lists no nodes", { reached: "no" });
  }
  const keys = new Map<string, BoundKey[]>();
  for (const node of nodes as readonly (Partial<Record<"id" | "key", unknown>> | null)[]) {
    if (typeof node?.id !== "string" || typeof node.key !== "object" || node.key === null) continue;
    const key = await importPublicKey(node.key as JWK).catch(() => undefined);
    if (key !== undefined) keys.set(node.id, [...(keys.get(node.id) ?? []), key]);
  }
  return keys;
}
