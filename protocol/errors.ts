import { type ErrorRow, ERRORS } from "./error-table.ts";

export { ERRORS };

/** A stable name for one kind of failure. */
export type ErrorCode = keyof typeof ERRORS;

/** Whether the target can have seen any of the request. */
export type Reached = ErrorRow["reached"];

/** A fault's typed details are read as `error.code`; nothing needs to parse `message`. */
export interface RelayErrorOptions extends ErrorOptions {
  /** Overrides the table where the thrower knows better, for instance that nothing had been sent yet. */
  readonly reached?: Reached;
  /** The node that answered, where one did. */
  readonly node?: string;
  /** The request's id (the token's `jti`), where it is known. */
  readonly requestId?: string;
  /** Seconds after which trying again may help. */
  readonly retryAfter?: number;
  /** Milliseconds by stage, as far as the request came. */
  readonly timing?: Readonly<Record<string, number>>;
}

/**
 * A failure of the relay's own, never of the target's: those arrive as responses.
 *
 * @example
 * try {
 *   await relay.fetch("https://api.bank.com/v1/payments", { method: "POST", body });
 * } catch (error) {
 *   if (isRelayError(error) && error.reached === "no") queueForLater(body);
 *   else throw error;
 * }
 */
export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: ErrorCode;
  /** The HTTP status that the relay answers with. */
  readonly status: number;
  readonly reached: Reached;
  /** A new request, signed anew, is safe and may well succeed. */
  readonly retryable: boolean;
  readonly detail: string;
  readonly node: string | undefined;
  readonly requestId: string | undefined;
  /** Seconds after which trying again may help, where the relay knows. */
  readonly retryAfter: number | undefined;
  /** Milliseconds by stage, as far as the request came; undefined where the relay did not tell. */
  readonly timing: Readonly<Record<string, number>> | undefined;

  constructor(code: ErrorCode, detail: string, options: RelayErrorOptions = {}) {
    const entry: ErrorRow = ERRORS[code];
    super(`${code}: ${detail}`, options);
    this.code = code;
    this.status = entry.status;
    this.reached = options.reached ?? entry.reached;
    this.retryable = entry.retryable && this.reached === "no";
    this.detail = detail;
    this.node = options.node;
    this.requestId = options.requestId;
    this.retryAfter = options.retryAfter;
    this.timing = options.timing;
  }
}

/** The same failure with another word on whether the target can have seen the request. */
export function withReached(error: RelayError, reached: Reached): RelayError {
  const { code, detail, cause, node, requestId, retryAfter, timing } = error;
  return new RelayError(code, detail, {
    cause,
    reached,
    ...(node !== undefined && { node }),
    ...(requestId !== undefined && { requestId }),
    ...(retryAfter !== undefined && { retryAfter }),
    ...(timing !== undefined && { timing }),
  });
}

/** Tells a relay's failure from any other error, also across copies of this module. */
export function isRelayError(error: unknown): error is RelayError {
  return error instanceof Error && error.name === "RelayError" && "code" in error && "reached" in error;
}

/** Tells whether a string is a code of the table. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** RFC 9457 problem details, with the relay's own members. */
export interface Problem {
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly reached: Reached;
  readonly retryable: boolean;
  readonly mend: string;
  readonly node?: string;
  readonly request_id?: string;
  readonly retry_after?: number;
}

/**
 * The answer to a failure: problem JSON (RFC 9457) with `Relay-Error` and `Proxy-Status` (RFC 9209).
 * @param status where a door tells this failure by another one than the table's
 */
export function problemResponse(
  error: RelayError,
  status: number = error.status,
): {
  status: number;
  headers: [string, string][];
  body: string;
} {
  const entry: ErrorRow = ERRORS[error.code];
  const problem: Problem = {
    status,
    detail: error.detail,
    code: error.code,
    reached: error.reached,
    retryable: error.retryable,
    mend: entry.mend,
    ...(error.node !== undefined && { node: error.node }),
    ...(error.requestId !== undefined && { request_id: error.requestId }),
    ...(error.retryAfter !== undefined && { retry_after: error.retryAfter }),
  };
  return {
    status,
    headers: [
      ["Content-Type", "application/problem+json"],
      ["Cache-Control", "no-store"],
      ["Relay-Error", error.code],
      ["Relay-Reached", error.reached],
      ["Proxy-Status", `holdfast; error=${entry.proxy}`],
      ...(error.retryAfter === undefined
        ? []
        : ([["Retry-After", String(Math.ceil(error.retryAfter))]] as [string, string][])),
    ],
    body: JSON.stringify(problem),
  };
}

/**
 * Reads back what `problemResponse` wrote. Unknown codes come from a newer relay: taken as a failure of unknown reach.
 *
 * @param code the field `Relay-Error`
 * @param fields the answer's, of which `Relay-Reached` and `Retry-After` say theirs also where the body was lost, as in an
 *   answer to HEAD
 * @param timing what the field `Relay-Timing` says
 */
export function errorFromProblem(
  code: string,
  body: string,
  fields?: { get(name: string): string | null },
  timing?: RelayErrorOptions["timing"],
): RelayError {
  let problem: Partial<Problem> = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null) problem = parsed;
  } catch {
    // A body that was lost on the way leaves the code from the field, which is enough.
  }
  const said =
    fields?.get("relay-reached") ?? (problem.code === code ? (problem.reached ?? "unknown") : undefined);
  const reached = said === "no" || said === "yes" ? said : "unknown";
  const detail = typeof problem.detail === "string" ? problem.detail : "the relay gave no detail";
  const retryAfter =
    typeof problem.retry_after === "number" ? problem.retry_after : secondsOf(fields?.get("retry-after"));
  const options: RelayErrorOptions = {
    reached,
    ...(retryAfter !== undefined && { retryAfter }),
    ...(typeof problem.node === "string" && { node: problem.node }),
    ...(typeof problem.request_id === "string" && { requestId: problem.request_id }),
    ...(timing !== undefined && { timing }),
  };
  if (isErrorCode(code)) {
    // Without a word on it, the table's own.
    return new RelayError(
      code,
      detail,
      said === undefined ? { ...options, reached: ERRORS[code].reached } : options,
    );
  }
  return new RelayError("edge_failed", `unknown code ${code.slice(0, 64)}: ${detail}`, {
    reached: "unknown",
  });
}

/** The relay writes whole seconds; a date (RFC 9110 section 10.2.3) would be of something in between. */
function secondsOf(field: string | null | undefined): number | undefined {
  return typeof field === "string" && /^[0-9]{1,9}$/.test(field) ? Number(field) : undefined;
}
