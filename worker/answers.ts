import { type ResponseHead, responseHead, sectionFromWire, wirePieces } from "../protocol/envelope.ts";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";

/** How a node's answer becomes the edge's. Bodies go through untouched. */

const PASSED = [WIRE.status, WIRE.node, WIRE.egress, WIRE.requestId, WIRE.envelope, WIRE.receipt] as const;
const OF_FAILURES = ["content-type", WIRE.error, WIRE.reached, "proxy-status", "retry-after"] as const;

type Fields = Record<string, string>;

/** All of an answer's fields by one pass: to ask the runtime for each of many by itself costs more. */
function fieldsOf({ headers }: Response): Partial<Fields> {
  const fields: Partial<Fields> = {};
  for (const [name, value] of headers) fields[name] = value;
  return fields;
}

/** A plain object: a Headers of its own would only be copied. */
function marks(answered: Partial<Fields>, timing: string): Fields {
  const marked: Fields = {
    [WIRE.timing]: timing,
    // What comes through the relay is nobody else's to keep.
    "cache-control": "no-store, no-transform",
  };
  return copied(marked, PASSED, answered);
}

function copied(to: Fields, names: readonly string[], from: Partial<Fields>): Fields {
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) to[name] = value;
  }
  return to;
}

/** A target's answer for our client: the envelope as the node made it. */
export function relayed(answer: Response, timing: string): Response {
  const answered = fieldsOf(answer);
  const headers = marks(answered, timing);
  wirePieces((name) => answered[name]).forEach((piece, index) => {
    headers[`${WIRE.fields}${index + 1}`] = piece;
  });
  return new Response(answer.body, { status: 200, headers });
}

/** A node's typed failure. */
export function failureOf(answer: Response, timing: string): Response {
  const answered = fieldsOf(answer);
  const headers = copied(marks(answered, timing), OF_FAILURES, answered);
  return new Response(answer.body, { status: answer.status, headers });
}

/** Statuses whose answer has no body (Fetch standard, "null body status"). */
const NULL_BODY = new Set([204, 205, 304]);

/** The head in an answer's envelope. What is wrong with it is not the caller's fault, whose request has been made. */
export async function headOf(answer: Response): Promise<ResponseHead> {
  try {
    return responseHead(sectionFromWire((name) => answer.headers.get(name)));
  } catch (cause) {
    await answer.body?.cancel();
    throw new RelayError("answer_invalid", "the node's answer can't be read", { cause });
  }
}

/** What a door makes of one field of a target's, its value as text: another value, or undefined to leave the field out. */
export type FieldEdit = (lowerName: string, value: string) => string | undefined;

/** A target's answer for a raw caller: its status and fields on the wire, as far as the runtime can say them. */
export async function unwrapped(
  answer: Response,
  timing: string,
  method: string,
  edit: FieldEdit = (_name, value) => value,
): Promise<Response> {
  const { status, reason, fields } = await headOf(answer);
  if (status > 599) {
    await answer.body?.cancel();
    throw new RelayError(
      "status_not_representable",
      `the target answered ${status}, which a raw answer can't carry`,
    );
  }
  const empty = method === "HEAD" || NULL_BODY.has(status);
  const headers = new Headers();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    // The body's own framing says its length, but for an answer without one.
    if (!empty && lower === "content-length") continue;
    const edited = edit(lower, textOf(value));
    if (edited !== undefined) headers.append(name, edited);
  }
  for (const [name, value] of Object.entries(marks(fieldsOf(answer), timing))) {
    if (name !== WIRE.envelope && name !== "cache-control") headers.set(name, value);
  }
  if (empty) await answer.body?.cancel();
  return new Response(empty ? null : answer.body, {
    status,
    statusText: /^[\t\x20-\x7e]*$/.test(reason) ? reason : "",
    headers,
    // The bytes are the target's own, already encoded as Content-Encoding says.
    encodeBody: "manual",
  });
}

const ASCII = /^[\0-\x7f]*$/;

/** And it writes them as UTF-8: bytes that are not that come out as if they had been Latin-1. */
function textOf(value: string): string {
  if (ASCII.test(value)) return value;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(value, (character) => character.charCodeAt(0)),
    );
  } catch {
    return value;
  }
}
