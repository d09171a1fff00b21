/** What the client saw of one request. */
export interface Attempt {
  /** Stands in the path, so that the target counts by it; each is signed under a request id (`jti`) of its own. */
  readonly id: string;
  readonly method: "GET" | "POST";
  /** Its body was sent as it came, so that nobody could send it twice. */
  readonly streamed: boolean;
  /** Milliseconds since 1970. */
  readonly begun: number;
  /** Until the whole body or the failure. */
  readonly ms: number;
  /** What the target was asked to take for it. */
  readonly delayMs: number;
  /** Of a whole answer: who made the call, from where, and the address that the target says it saw. */
  readonly answer?: { readonly node: string; readonly egress: string; readonly seen: string };
  /** Of a failure: its code (or the error's name, where it is not the relay's), and what it says of the target. */
  readonly failure?: { readonly code: string; readonly reached: string; readonly detail: string };
}

/** One request whose head came to the target. */
export interface Arrival {
  readonly id: string;
  readonly method: string;
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Requests that broke the contract, each with why. */
export interface Verdict {
  readonly requests: number;
  readonly getFailed: readonly string[];
  readonly postFailed: readonly string[];
  /** How many POSTs failed, by code and what they say of the target. */
  readonly postFailures: Readonly<Record<string, number>>;
  readonly postDoubled: readonly string[];
  readonly untruthful: readonly string[];
  readonly wrongAddress: readonly string[];
}

/**
 * Judges what client and target have noted. A failure that is not the relay's own says nothing of the target, so it is not
 * truthful either.
 *
 * @param published the addresses that targets may see
 */
export function judge(
  attempts: readonly Attempt[],
  arrivals: readonly Arrival[],
  published: ReadonlySet<string>,
): Verdict {
  const seen = Map.groupBy(arrivals, ({ id }) => id);
  const count = ({ id }: Attempt) => seen.get(id)?.length ?? 0;
  const posts = attempts.filter(({ method }) => method === "POST");
  return {
    requests: attempts.length,
    getFailed: attempts
      .filter(({ method, failure }) => method === "GET" && failure !== undefined)
      .map((attempt) => tell(attempt)),
    postFailed: posts.filter(({ failure }) => failure !== undefined).map((attempt) => tell(attempt)),
    postFailures: tally(
      posts.flatMap(({ streamed, failure }) =>
        failure === undefined
          ? []
          : [`${streamed ? "streamed" : "held"}: ${failure.code}, reached ${failure.reached}`],
      ),
    ),
    postDoubled: posts.filter((attempt) => count(attempt) > 1).map((attempt) => tell(attempt)),
    untruthful: posts
      .filter((attempt) => !isTruthful(attempt, count(attempt) > 0))
      .map((attempt) => `${tell(attempt)}, the target counted ${count(attempt)}`),
    wrongAddress: [
      ...arrivals
        .filter(({ from }) => !published.has(from))
        .map(({ id, from }) => `${id}: the target saw ${from}`),
      ...attempts
        .filter(({ answer }) => answer !== undefined && answer.egress !== answer.seen)
        .map(({ id, answer }) => `${id}: Relay-Egress ${answer!.egress}, the target saw ${answer!.seen}`),
    ],
  };
}

/** How often each stands in a list. */
export function tally(items: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(items, (item) => item);
  return Object.fromEntries(Array.from(groups, ([item, list]) => [item, list.length]));
}

function isTruthful({ failure }: Attempt, arrived: boolean): boolean {
  if (failure === undefined) return arrived;
  if (failure.reached === "unknown") return true;
  return failure.reached === (arrived ? "yes" : "no");
}

function tell({ id, method, streamed, ms, begun, failure }: Attempt): string {
  const time = new Date(begun).toISOString().slice(11, 23);
  const outcome =
    failure === undefined ? "answered" : `${failure.code}, reached ${failure.reached} (${failure.detail})`;
  return `${time} ${method}${streamed ? " (streamed)" : ""} ${id} after ${ms.toFixed(0)} ms: ${outcome}`;
}

/** Whether a request was answered without a noticeable wait. */
export function isPrompt({ failure, ms, delayMs }: Attempt, promptMs: number): boolean {
  return failure === undefined && ms - delayMs <= promptMs;
}

/**
 * Seconds from a fault until traffic has returned: to the last request that was begun and failed, and to the last slow one
 * before requests were answered promptly for a while on end. (What is slow later than that is the machine's own affair.)
 *
 * @param from, to milliseconds since 1970: the fault, and when its consequences are over
 */
export function recoverySeconds(
  attempts: readonly Attempt[],
  from: number,
  to: number,
  { promptMs, calmMs }: { readonly promptMs: number; readonly calmMs: number },
): number {
  const within = attempts.filter(({ begun }) => begun >= from && begun <= to);
  const failed = within.filter(({ failure }) => failure !== undefined).map(({ begun }) => begun);
  const disturbed = within.filter((attempt) => !isPrompt(attempt, promptMs)).map(({ begun }) => begun);
  let returned = from;
  for (const begun of disturbed.toSorted((a, b) => a - b)) {
    if (begun - returned > calmMs) break;
    returned = begun;
  }
  return (Math.max(returned, ...failed) - from) / 1_000;
}

/** The share of the node that answered the fewest, and how many were answered in all. */
export function spread(
  attempts: readonly Attempt[],
  since: number,
  nodes: readonly string[],
): { readonly least: number; readonly answered: number } {
  const recent = attempts.filter(({ begun, answer }) => begun >= since && answer !== undefined);
  const shares = nodes.map((node) => recent.filter(({ answer }) => answer!.node === node).length);
  return { least: recent.length === 0 ? 0 : Math.min(...shares) / recent.length, answered: recent.length };
}

/** The value below which this part of them lies, by nearest rank. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
