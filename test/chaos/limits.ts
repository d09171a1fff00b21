/** Every time, rate and bound of the fault suite. Units stand in the names. */

/** Requests a second, half of them GET, half POST. */
export const RATE_PER_SECOND = 40;

/** Nothing waits longer for an answer; a request that does has failed. */
export const REQUEST_DEADLINE_MS = 30_000;

/** A request counts as prompt if the relay adds no more than this to the target's own time. */
export const PROMPT_MS = 1_000;

/** Traffic has returned when requests were answered promptly for this long on end. */
export const CALM_MS = 3_000;

/** How long a fault of some duration lasts. */
export const HOLD_MIN_MS = 3_000;
export const HOLD_MAX_MS = 6_000;

/** After a fault has ended, traffic spreads evenly again within this time. */
export const SPREAD_DEADLINE_MS = 25_000;

/** Traffic is even if, over this window, each of two nodes has this share of it. */
export const SPREAD_WINDOW_MS = 1_500;
export const SPREAD_SHARE_MIN = 0.3;
export const SPREAD_REQUESTS_MIN = 40;

/** Traffic returns within this time of a fault. */
export const RECOVERY_MAX_SECONDS = 5;

/** A full run has at least this many faults. */
export const FAULTS_MIN = 20;

/** A quick run begins no other fault after this time, and has at least so many by then. */
export const QUICK_FAULTS_SECONDS = 26;
export const QUICK_FAULTS_MIN = 3;

/** Between a token's first use and its replay. */
export const REPLAY_AFTER_MS = 200;

/** How often the suite collects what client and target have noted. */
export const COLLECT_MS = 200;

/** How often the suite's nodes prove their addresses: the time of a drift that nothing on the host shows. */
export const PROOF_SECONDS = 2;

/** A change of its address is noticed within that, a witness's deadline of 3 s, and room for a busy machine. */
export const NOTICE_MAX_SECONDS = 10;

/** And once the address is right again, the node is back within two rounds and what the edge takes to trust it. */
export const BACK_MAX_SECONDS = 20;
