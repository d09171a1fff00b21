import type { ErrorCode } from "../protocol/errors.ts";
import { TokenBucket } from "../protocol/token-bucket.ts";
import { keepNewest } from "./keep-newest.ts";
import {
  CEILING_SECONDS,
  FAILED_SENDERS_MAX,
  FAILED_TOKENS_BURST,
  FAILED_TOKENS_DEBT_MAX,
  FAILED_TOKENS_PER_SECOND,
} from "./limits.ts";

/**
 * What is charged to the address that it came from: tokens that nobody can be shown to have signed for this edge, and names that
 * mean nothing to it. Not what
 * a proven client does wrong, nor a policy's refusal; and not a clock that is off, which is found before anything is looked
 * up, and should not cost the others behind the same address.
 */
const CHARGED: ReadonlySet<ErrorCode> = new Set([
  "token_malformed",
  "token_type",
  "token_act",
  "token_lifetime",
  "token_audience",
  "token_signature",
  "client_unknown",
  "handle_unknown",
  "route_unknown",
  // Anybody has a genuine token of a platform that serves everybody.
  "platform_token_invalid",
  "platform_token_refused",
  "proof_invalid",
  "certificate_invalid",
]);

/** Whether a failure is charged to its sender. */
export function isCharged(code: ErrorCode): boolean {
  return CHARGED.has(code);
}

const SIZE = { rate: FAILED_TOKENS_PER_SECOND, burst: FAILED_TOKENS_BURST };

/** How many tokens from each sender may still fail, as one isolate knows it. Times are milliseconds since 1970. */
export class FailedTokens {
  readonly #senders = new Map<string, TokenBucket>();
  readonly #max: number;
  /** Until when some sender may have to wait. */
  #calmAt = -Infinity;

  /** @param max senders that are remembered; the one that failed longest ago is forgotten first */
  constructor(max: number = FAILED_SENDERS_MAX) {
    this.#max = max;
  }

  /** Senders that are remembered. */
  get size(): number {
    return this.#senders.size;
  }

  /** Whether no sender has to wait: then it need not be known who sends. */
  isCalm(now: number): boolean {
    return now >= this.#calmAt;
  }

  /** How long no token of a stranger's is looked at; 0 where the next one is. */
  waitMs(sender: string, now: number): number {
    return this.#senders.get(sender)?.waitMs(1, now) ?? 0;
  }

  /** Charges one failure. */
  charge(sender: string, now: number): void {
    const bucket = this.#bucketOf(sender, now);
    if (bucket.level(now) > -FAILED_TOKENS_DEBT_MAX) bucket.spend(1, now);
    this.#calmAt = Math.max(this.#calmAt, now + bucket.waitMs(1, now));
  }

  /** Looks at no token of a stranger's for one period of the platform's ceiling, which the sender is over. */
  shut(sender: string, now: number): void {
    const bucket = this.#bucketOf(sender, now);
    const left = bucket.level(now) - 1 + CEILING_SECONDS * FAILED_TOKENS_PER_SECOND;
    if (left > 0) bucket.spend(left, now);
    this.#calmAt = Math.max(this.#calmAt, now + bucket.waitMs(1, now));
  }

  #bucketOf(sender: string, now: number): TokenBucket {
    const bucket = this.#senders.get(sender) ?? new TokenBucket(SIZE, now);
    keepNewest(this.#senders, sender, bucket, this.#max);
    return bucket;
  }
}
