import type { Logger } from "pino";
import type { ErrorCode, RelayError } from "../protocol/errors.ts";
import type { GrantClaims } from "../protocol/grants.ts";
import type { AnswerMarks } from "./answer.ts";
import type { NodeConfig } from "./config.ts";
import type { Dialed, OnStage } from "./dialer.ts";
import type { Member } from "./members.ts";
import type { Stage } from "./metrics.ts";
import { countedAs } from "./usage/counted-as.ts";
import type { Booked, Usage } from "./usage/usage.ts";

/** Refusals that nothing bounds: strangers', and clients' beyond their limits, could fill a disk. The counters tell of them. */
const UNBOUNDED: ReadonlySet<ErrorCode> = new Set([
  "grant_missing",
  "grant_invalid",
  "rate_limited",
  "concurrency_limited",
  "stream_unknown",
]);

/** Besides these, what is wrong with a request before its grant has been looked at: a stranger's, for all that is known. */
const UNPROVEN: ReadonlySet<ErrorCode> = new Set([
  "method_not_allowed",
  "upgrade_required",
  "request_invalid",
]);

/** What a call may do, and for whom, as far as its account goes. */
export type CallClaims = Pick<GrantClaims, "jti" | "sub" | "htm" | "url" | "limits">;

/** What is known of one call at any door, filled in as it goes on: who, where to, from where, how long each stage took. */
export class Call {
  claims: CallClaims | undefined;
  error: RelayError | undefined;
  /** Host and port of the target, once its URL was read. */
  host: string | undefined;
  /** The published address that the target saw. */
  egress: string | undefined;
  /** Whether the connection to the target had served before. */
  warm: boolean | undefined;
  /** What of it is booked as used, while it runs. */
  booked: Member<Booked> | undefined;
  readonly timings: Partial<Record<Stage, number>> = {};
  readonly #started = performance.now();
  #lapped = this.#started;
  /** The target is connected and has not answered. */
  #waiting = false;
  #dialed: Dialed<unknown> | undefined;
  #isCounted = false;
  /** It is counted, and will be on file by the end of this turn. */
  #isFiling = false;
  #onFile: (() => void) | undefined;
  readonly #config: NodeConfig;

  constructor(config: NodeConfig) {
    this.#config = config;
  }

  /** Books the time since the last lap under a stage. */
  lap(stage: Stage): void {
    const now = performance.now();
    this.timings[stage] = now - this.#lapped;
    this.#lapped = now;
    this.#waiting = false;
  }

  /** Books a stage of dialling. */
  readonly onStage: OnStage = (stage, ms) => {
    this.#waiting = false;
    this.timings[stage] = ms;
  };

  /** Notes the connection that is used. */
  connected(dialed: Dialed<unknown>, warm: boolean): void {
    this.#dialed = dialed;
    this.warm = warm;
    this.#waiting = true;
    this.#lapped = performance.now();
    this.egress = this.#config.egress[dialed.family === 6 ? "ipv6" : "ipv4"]?.public;
  }

  /** The call failed: the stage that it was in gets the time until now. The dialer tells of its own. */
  failed(): void {
    if (this.timings.node_queue === undefined) this.lap("node_queue");
    else if (this.#waiting) this.lap("target");
  }

  /**
   * Counts it for its client, the first time that it is called: before a byte of its answer leaves, so that no kill loses what was
   * answered.
   */
  count(usage: Usage): void {
    const kind = this.#counted();
    if (kind !== undefined) usage[kind](this.claims!.sub);
    if (this.#isFiling) usage.flush();
  }

  /** The same with one write for all of this turn: `onFile` tells when it is done. @param isRead the turn's reads are done */
  countInTurn(usage: Usage, isRead = false): void {
    const kind = this.#counted();
    if (kind === "refusal") usage.refusal(this.claims!.sub);
    if (kind !== "request") return;
    this.#isFiling = true;
    const filed = () => {
      this.#isFiling = false;
      this.#onFile?.();
    };
    usage.requestInTurn(this.claims!.sub, filed, isRead);
  }

  /** Whether what was counted is on file, and with it all that an answer waits for. @param then called once it is, if it isn't yet */
  onFile(then: () => void): boolean {
    if (this.#isFiling) this.#onFile = then;
    return !this.#isFiling;
  }

  /** What it counts as now, the first time that this is asked. */
  #counted(): "request" | "refusal" | undefined {
    if (this.claims === undefined || this.#isCounted) return undefined;
    this.#isCounted = true;
    return countedAs(this.error);
  }

  /** What every answer says of it. */
  get marks(): AnswerMarks {
    const { claims, egress, timings, warm } = this;
    return { node: this.#config.id, requestId: claims?.jti, egress, timings, warm };
  }

  /** Milliseconds since it came. */
  get totalMs(): number {
    return performance.now() - this.#started;
  }

  /** The fields that the lines of all doors share; those without a value are left out of the line. */
  protected get line() {
    const { claims, error, egress } = this;
    return {
      jti: claims?.jti,
      client: claims?.sub,
      // Host and port alone: paths and queries may hold secrets.
      target: this.host ?? (claims === undefined ? undefined : URL.parse(claims.url)?.host),
      reason: error?.code,
      detail: error?.detail,
      reached: error?.reached,
      egress,
      bind: this.#dialed?.egress,
      dialed: this.#dialed?.address,
    };
  }

  protected get dialed(): Dialed<unknown> | undefined {
    return this.#dialed;
  }

  /** Writes the canonical line: how it ended says how loud it is. */
  protected write(
    log: Logger,
    line: { readonly door: string; readonly [field: string]: unknown },
    message: string,
  ): void {
    const { claims, error } = this;
    // At the proxy door anybody may ask as often as they like, until it is known who they are.
    const isProxy = line.door === "proxy";
    const isUnbounded = (code: ErrorCode) =>
      UNBOUNDED.has(code) ||
      (claims === undefined && (isProxy ? code !== "node_internal" : UNPROVEN.has(code)));
    if (error !== undefined && isUnbounded(error.code)) log.debug(line, message);
    else if (error !== undefined && error.status >= 500) {
      log.warn({ ...line, cause: causeOf(error) }, message);
    } else log.info(line, message);
  }
}

/** Milliseconds as a line has them. */
export function rounded(timings: Readonly<Record<string, number>>): Record<string, number> {
  const tenths: Record<string, number> = {};
  for (const stage in timings) tenths[stage] = Math.round(timings[stage]! * 10) / 10;
  return tenths;
}

/** The code of the system's or library's own error; its message may quote what was sent. */
function causeOf({ cause }: RelayError): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  return (cause as NodeJS.ErrnoException).code ?? cause.name;
}
