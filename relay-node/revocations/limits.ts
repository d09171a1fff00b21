/** Every limit, lifetime and deadline of how a node hears of revocations. Units stand in the names. */

/** How often the edge is asked what was revoked. */
export const REVOCATIONS_POLL_MS = 10_000;

/** A round comes sooner by up to this share, so that nodes that started together don't ask together for ever. */
export const REVOCATIONS_JITTER = 0.2;

/** After a round that failed, the next one comes after this share of the time between two; the wait doubles up to the whole. */
export const REVOCATIONS_RETRY_SHARE = 0.1;

/** One page: as many entries as there may be, each of at most some 250 bytes. */
export const REVOCATIONS_ANSWER_MAX_BYTES = 524_288;

/** A grant can't come later than this after it was signed, an answer's way and the clocks' differences included: so long a revocation is remembered. */
export const REVOCATIONS_MEMORY_MS = 120_000;

/** How many streams and requests are ended in one turn: what is not meant goes on meanwhile. */
export const REVOCATION_ENDS_PER_TURN = 50;
