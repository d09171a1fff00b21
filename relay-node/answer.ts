import type { ServerResponse } from "node:http";
import { STATUS_CODES } from "./node-http.ts";
import { encodeResponseSection, type ResponseHead, sectionToWire } from "../protocol/envelope.ts";
import { problemResponse, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { FIELDS_IN_HEAD_BYTES, FIELDS_MAX_BYTES, FIELDS_MAX_COUNT } from "../protocol/limits.ts";
import { isBodiless } from "./exchange.ts";
import { LAST_ANSWER_MS } from "./limits.ts";
import type { Connection } from "./tcp/connection.ts";

/** What every answer says of the call, as far as it is known. */
export interface AnswerMarks {
  readonly node: string;
  readonly requestId?: string | undefined;
  /** The published address that the target saw. */
  readonly egress?: string | undefined;
  /** Milliseconds by stage. */
  readonly timings?: Readonly<Record<string, number>>;
  /** Whether the connection to the target had served before; undefined where there was none. */
  readonly warm?: boolean | undefined;
  /** On a target's answer, where the grant asks for one: a compact JWS. */
  readonly receipt?: string | undefined;
}

/** The marks as fields, names and values in turn. */
export function markFields(marks: AnswerMarks): string[] {
  const fields = [WIRE.node, marks.node];
  if (marks.requestId !== undefined) fields.push(WIRE.requestId, marks.requestId);
  if (marks.egress !== undefined) fields.push(WIRE.egress, marks.egress);
  if (marks.receipt !== undefined) fields.push(WIRE.receipt, marks.receipt);
  let timing = "";
  for (const stage in marks.timings) {
    timing += `${timing === "" ? "" : ", "}${stage};dur=${marks.timings[stage]!.toFixed(1)}`;
  }
  if (marks.warm !== undefined) {
    timing += `${timing === "" ? "" : ", "}connection;desc=${marks.warm ? "warm" : "new"}`;
  }
  if (timing !== "") fields.push(WIRE.timing, timing);
  return fields;
}

/**
 * Makes the head of a target's answer: status and fields in the envelope, the body's framing on the wire as the target
 * chose it, so that a cut shows at every hop. It leaves with what is written next.
 *
 * @param headOnly the caller reads fields from the head alone, however many there are
 * @throws RelayError `target_fields_too_large`
 */
export function writeAnswerHead(
  response: ServerResponse,
  head: ResponseHead,
  method: string,
  marks: AnswerMarks,
  headOnly: boolean,
): void {
  const section = encodeResponseSection(head);
  // Two lines are the pseudo-fields'.
  if (section.length > FIELDS_MAX_BYTES || head.fields.length > FIELDS_MAX_COUNT - 2) {
    throw new RelayError(
      "target_fields_too_large",
      `the answer's fields exceed ${FIELDS_MAX_BYTES} bytes or ${FIELDS_MAX_COUNT - 2} lines`,
    );
  }
  const inHead = headOnly || section.length <= FIELDS_IN_HEAD_BYTES;
  const fields = [
    WIRE.status,
    "target",
    WIRE.envelope,
    inHead ? "1" : `1; body=${section.length}`,
    ...markFields(marks),
    ...(inHead ? sectionToWire(section).flat() : []),
  ];
  const prefix = inHead ? 0 : section.length;
  const declared = head.fields.find(([name]) => name.toLowerCase() === "content-length")?.[1];
  if (isBodiless(method, head.status)) fields.push("Content-Length", String(prefix));
  else if (declared !== undefined) fields.push("Content-Length", String(Number(declared) + prefix));
  response.writeHead(200, fields);
  if (!inHead) response.write(section);
}

/** How a failure is told where a door has ways of its own. */
export interface Telling {
  readonly status?: number;
  /** The reason phrase has the code: it is all that many clients of proxies show. */
  readonly namesCode?: boolean;
}

/**
 * Answers with a failure of the relay's own.
 * @param more fields that this failure needs besides
 */
export function writeFailure(
  response: ServerResponse,
  error: RelayError,
  marks: AnswerMarks,
  more: readonly string[] = [],
  told: Telling = {},
): void {
  const { status, reason, fields, body } = failureAnswer(error, marks, told);
  response.writeHead(status, reason, [...fields, ...more]);
  response.end(body);
}

/** The same on a socket that a request to upgrade came on: HTTP's server has let go of it. It is closed behind the answer. */
export function writeRawFailure(
  socket: Connection,
  error: RelayError,
  marks: AnswerMarks,
  more: readonly string[] = [],
  told: Telling = {},
): void {
  const { status, reason, fields, body } = failureAnswer(error, marks, told);
  const all = [...fields, ...more, "Connection", more.includes("Upgrade") ? "Upgrade, close" : "close"];
  socket.on("error", () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), LAST_ANSWER_MS);
  socket.once("close", () => clearTimeout(timer));
  // What may still come is read and dropped: closing on it could cut the answer.
  socket.resume();
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${fieldLines(all)}\r\n${body}`);
}

/** Names and values in turn as the lines of a head. */
export function fieldLines(fields: readonly string[]): string {
  let lines = "";
  for (let i = 0; i < fields.length; i += 2) lines += `${fields[i]!}: ${fields[i + 1]!}\r\n`;
  return lines;
}

/** A failure as a head and a body. */
export function failureAnswer(
  error: RelayError,
  marks: AnswerMarks,
  told: Telling,
): { status: number; reason: string; fields: string[]; body: string } {
  const named = new RelayError(error.code, error.detail, {
    reached: error.reached,
    ...(error.retryAfter !== undefined && { retryAfter: error.retryAfter }),
    node: marks.node,
    ...(marks.requestId !== undefined && { requestId: marks.requestId }),
  });
  const { status, headers, body } = problemResponse(named, told.status);
  const reason = `${STATUS_CODES[status] ?? ""}${told.namesCode === true ? ` (${error.code})` : ""}`;
  const length = String(Buffer.byteLength(body));
  return {
    status,
    reason,
    fields: [...headers.flat(), ...markFields(marks), "Content-Length", length],
    body,
  };
}

/** Answers with JSON of the node's own. */
export function writeJson(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" })
    .end(JSON.stringify(value));
}
