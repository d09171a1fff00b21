import { RelayError } from "../../protocol/errors.ts";
import { type BucketSize, TokenBucket } from "../../protocol/token-bucket.ts";
import { PROXY_SENDERS_MAX, PROXY_STRANGER, PROXY_STRANGERS } from "./limits.ts";

/** What strangers may ask. */
export interface StrangerSizes {
  /** About unknown credentials, from one sender; and of one known credential, what is refused. */
  readonly each: BucketSize;
  /** About unknown credentials, from all senders together. */
  readonly all: BucketSize;
  /** Senders, and known credentials, that are remembered. */
  readonly senders: number;
}

const SIZES: StrangerSizes = { each: PROXY_STRANGER, all: PROXY_STRANGERS, senders: PROXY_SENDERS_MAX };

/**
 * How often the edge may be asked in vain. Unknown credentials pay before they are asked about and get it back when they
 * turn out to be good; known ones pay for what is refused. Times are milliseconds since 1970.
 */
export class StrangerLimits {
  readonly #senders: Buckets;
  readonly #known: Buckets;
  readonly #all: TokenBucket;

  constructor(now: number, { each, all, senders }: StrangerSizes = SIZES) {
    this.#senders = new Buckets(each, senders);
    this.#known = new Buckets(each, senders);
    this.#all = new TokenBucket(all, now);
  }

  /** Senders and known credentials that are remembered. */
  get size(): number {
    return this.#senders.size + this.#known.size;
  }

  /**
   * Takes what a question about an unknown credential costs.
   * @param sender of `senderOf`
   * @throws RelayError `rate_limited`; nothing is taken then
   */
  pay(sender: string, now: number): void {
    const bucket = this.#senders.of(sender, now);
    const ownMs = bucket.waitMs(1, now);
    if (ownMs > 0) throw limited("too many credentials from this address failed", ownMs);
    const allMs = this.#all.waitMs(1, now);
    if (allMs > 0) throw limited("too many unknown credentials are being tried at this node", allMs);
    bucket.spend(1, now);
    this.#all.spend(1, now);
  }

  /** Gives it back: the credential is good. */
  giveBack(sender: string, now: number): void {
    this.#senders.of(sender, now).spend(-1, now);
    this.#all.spend(-1, now);
  }

  /** @throws RelayError `rate_limited` where too much of a known credential's was refused */
  assertPatience(credential: string, now: number): void {
    const waitMs = this.#known.find(credential)?.waitMs(1, now) ?? 0;
    if (waitMs > 0) throw limited("too much that these credentials asked for was refused", waitMs);
  }

  /** Charges a refusal to a known credential. */
  refused(credential: string, now: number): void {
    this.#known.of(credential, now).take(1, now);
  }
}

/** Buckets by key; the one that was used least recently is forgotten first. */
class Buckets {
  readonly #size: BucketSize;
  readonly #max: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(size: BucketSize, max: number) {
    this.#size = size;
    this.#max = max;
  }

  get size(): number {
    return this.#buckets.size;
  }

  find(key: string): TokenBucket | undefined {
    return this.#buckets.get(key);
  }

  of(key: string, now: number): TokenBucket {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#size, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#max) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}

function limited(detail: string, waitMs: number): RelayError {
  return new RelayError("rate_limited", detail, { retryAfter: Math.max(1, Math.ceil(waitMs / 1_000)) });
}
