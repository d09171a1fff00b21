/** What the edge believes of one node. Times are milliseconds since 1970, by the clock of whoever keeps it. */
export interface NodeHealth {
  readonly up: boolean;
  /** How often it has come back: tells an isolate's old complaint from a new one. */
  readonly epoch: number;
  /** Since when it is up or down. */
  readonly since: number;
  /** Why it is down. */
  readonly reason: string | undefined;
  /** It doesn't answer at all: unlike a node that drains, it won't finish what it has begun. */
  readonly gone: boolean;
  /** Probes in a row that went well, while it is down; the first of them at `goodSince`. */
  readonly goods: number;
  readonly goodSince: number;
  /** Probes in a row that failed. */
  readonly failures: number;
  /** When it is to be probed next. */
  readonly probeAt: number;
}

/** Why a node is not to be used. */
export interface Fault {
  readonly reason: string;
  readonly gone: boolean;
}

/** What was learnt of a node: a probe's result, or what a request met. */
export type Sign =
  | { readonly kind: "good" }
  | { readonly kind: "bad"; readonly fault: Fault }
  /** An isolate saw a failure when the node had come back this often. */
  | { readonly kind: "complaint"; readonly fault: Fault; readonly epoch: number | undefined };

/** How often and how patiently is probed, in milliseconds. */
export interface ProbeTimes {
  /** Between probes of a node that is up. */
  readonly healthyMs: number;
  /** The first wait after a failed probe; it doubles with each one. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** Between probes of a node that answers again, until it has been stable. */
  readonly returningMs: number;
  /** How many probes in a row must go well, over how long, before a node gets traffic again. */
  readonly stableProbes: number;
  readonly stableMs: number;
}

/** A node that nothing is known of gets traffic: otherwise a new edge would serve nobody. */
export function newHealth(now: number): NodeHealth {
  return {
    up: true,
    epoch: 0,
    since: now,
    reason: undefined,
    gone: false,
    goods: 0,
    goodSince: 0,
    failures: 0,
    probeAt: now,
  };
}

/**
 * What one sign changes. A node goes down with the first bad one, and comes back only after a stable spell.
 *
 * @example nextHealth(newHealth(0), { kind: "bad", fault }, 5_000, PROBE_TIMES).up // false
 */
export function nextHealth(health: NodeHealth, sign: Sign, now: number, times: ProbeTimes): NodeHealth {
  if (sign.kind === "complaint") {
    // What was seen before the node came back says nothing of it as it is now.
    const isOld = sign.epoch !== undefined && sign.epoch < health.epoch;
    if (isOld || !health.up) return health;
    return { ...down(health, sign.fault, now), failures: 0, probeAt: now + times.returningMs };
  }
  if (sign.kind === "bad") {
    const failures = health.failures + 1;
    const wait = Math.min(times.backoffMs * 2 ** (failures - 1), times.backoffMaxMs);
    return { ...down(health, sign.fault, now), failures, probeAt: now + wait };
  }
  if (health.up) return { ...health, failures: 0, probeAt: now + times.healthyMs };
  const goods = health.goods + 1;
  const goodSince = goods === 1 ? now : health.goodSince;
  if (goods < times.stableProbes || now - goodSince < times.stableMs) {
    return { ...health, goods, goodSince, failures: 0, probeAt: now + times.returningMs };
  }
  return { ...newHealth(now), epoch: health.epoch + 1, probeAt: now + times.healthyMs };
}

function down(health: NodeHealth, { reason, gone }: Fault, now: number): NodeHealth {
  return {
    ...health,
    up: false,
    since: health.up ? now : health.since,
    reason,
    gone,
    goods: 0,
    goodSince: 0,
  };
}
