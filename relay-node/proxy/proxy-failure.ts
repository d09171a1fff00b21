import type { RelayError } from "../../protocol/errors.ts";
import { type AnswerMarks, failureAnswer } from "../answer.ts";
import { STATUS_CODES } from "../node-http.ts";

/** A failure as a user of the proxy is told it. */
export interface ProxyFailure {
  readonly status: number;
  /** Names the code: many clients show nothing else. */
  readonly reason: string;
  /** Names and values in turn, Content-Length among them. */
  readonly fields: readonly string[];
  readonly body: string;
}

/** RFC 9110 section 11.7.1: what a 407 has to offer. */
const CHALLENGES = [
  "Proxy-Authenticate",
  'Basic realm="holdfast", charset="UTF-8"',
  "Proxy-Authenticate",
  'Bearer realm="holdfast"',
];

/**
 * What the proxy door answers with. A 401 is for whoever asks an origin, so that here it is a 407.
 *
 * @example proxyFailure(new RelayError("target_not_allowed", "…"), marks).reason // "Forbidden (target_not_allowed)"
 */
export function proxyFailure(error: RelayError, marks: AnswerMarks): ProxyFailure {
  const status = error.status === 401 ? 407 : error.status;
  const { fields, body } = failureAnswer(error, marks, status);
  return {
    status,
    reason: `${STATUS_CODES[status] ?? "Failed"} (${error.code})`,
    fields: status === 407 ? [...fields, ...CHALLENGES] : fields,
    body,
  };
}
