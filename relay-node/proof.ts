import { isSameIp, parseIp } from "./ip-address.ts";
import { PROOF_FIRST_MS, PROOF_LASTS_MS, PROOF_RETRY_MS, PROOFS_AFTER_WRONG } from "./limits.ts";

/** A family of addresses, as configurations, logs and metrics name it. */
export type Family = "ipv4" | "ipv6";

/** What came of asking one witness: the address that it saw, or why there is none. */
export type Report =
  | { readonly witness: string; readonly saw: string }
  | { readonly witness: string; readonly silent: string };

/** What the witnesses say together: the published address, another one, or nothing. */
export type Verdict = "right" | "wrong" | "silent";

/**
 * Weighs one round of reports: right where at least one witness saw the published address, and at least as many as saw
 * another one. So one witness that lies takes no node out that an honest one sees, and a node whose address has drifted
 * finds nobody to vouch for it.
 *
 * @example verdictOf("203.0.113.10", [{ witness: "edge", saw: "203.0.113.10" }]) // "right"
 */
export function verdictOf(published: string, reports: readonly Report[]): Verdict {
  const address = parseIp(published)!;
  let right = 0;
  let wrong = 0;
  for (const report of reports) {
    if (!("saw" in report)) continue;
    const saw = parseIp(report.saw);
    if (saw !== undefined && isSameIp(saw, address)) right++;
    else wrong++;
  }
  if (right > 0 && right >= wrong) return "right";
  return wrong > 0 ? "wrong" : "silent";
}

/** What is known of one address after some rounds. Times are milliseconds from any origin that does not jump. */
export interface ProofState {
  /** When the proof was last given; undefined while there is none. */
  readonly provenAt: number | undefined;
  readonly everProven: boolean;
  /** Another address was seen since the last proof. */
  readonly isRefuted: boolean;
  /** Right verdicts in a row. */
  readonly row: number;
  readonly last: Verdict;
}

/** Before the first round. Nothing is assumed. */
export const UNPROVEN: ProofState = {
  provenAt: undefined,
  everProven: false,
  isRefuted: false,
  row: 0,
  last: "silent",
};

/**
 * Takes one round's verdict in. A right one proves the address, after a wrong one only as one of several in a row; a wrong
 * one ends the proof at once; silence leaves a proof as it is until it is too old.
 */
export function advance(state: ProofState, verdict: Verdict, now: number): ProofState {
  switch (verdict) {
    case "right": {
      const row = state.row + 1;
      return row >= (state.isRefuted ? PROOFS_AFTER_WRONG : 1)
        ? { provenAt: now, everProven: true, isRefuted: false, row, last: verdict }
        : { ...state, row, last: verdict };
    }
    case "wrong":
      return { ...state, provenAt: undefined, isRefuted: true, row: 0, last: verdict };
    case "silent":
      return {
        ...state,
        provenAt: isProven(state, now) ? state.provenAt : undefined,
        row: 0,
        last: verdict,
      };
  }
}

/** Whether requests may leave from the address now. */
export function isProven({ provenAt }: ProofState, now: number): boolean {
  return provenAt !== undefined && now - provenAt <= PROOF_LASTS_MS;
}

/**
 * How long until the witnesses are asked again, in milliseconds.
 * @param isListed whether the address is in the edge's list; undefined while none was read
 * @param intervalMs between two rounds while all is well
 */
export function nextRoundMs(
  { everProven, last, provenAt }: ProofState,
  isListed: boolean | undefined,
  intervalMs: number,
): number {
  if (!everProven) return PROOF_FIRST_MS;
  const isWell = last === "right" && provenAt !== undefined && isListed === true;
  return isWell ? intervalMs : Math.min(PROOF_RETRY_MS, intervalMs);
}

/**
 * Why an address is not in service, in one line for an operator.
 * @example // "ipv4: the world sees 198.51.100.9, published is 203.0.113.10 (told by edge, node-2)"
 */
export function reasonOf(
  family: Family,
  published: string,
  state: ProofState,
  reports: readonly Report[],
): string {
  if (state.last === "right") {
    return `${family}: ${published} is seen again, ${state.row} of ${PROOFS_AFTER_WRONG} times in a row`;
  }
  if (state.last === "wrong") {
    const others = reports.filter(
      (report) => "saw" in report && verdictOf(published, [report]) === "wrong",
    ) as readonly { readonly witness: string; readonly saw: string }[];
    const seen = [...new Set(others.map(({ saw }) => saw))].join(" or ");
    const tellers = others.map(({ witness }) => witness).join(", ");
    return `${family}: the world sees ${seen}, published is ${published} (told by ${tellers})`;
  }
  const why = reports.map((report) => ("silent" in report ? `${report.witness}: ${report.silent}` : ""));
  return `${family}: no witness tells whether ${published} is what the world sees (${why.join(", ") || "none was asked yet"})`;
}
