import { RelayError } from "../../protocol/errors.ts";
import { connectionNames, type Field, isFieldName, isFieldText } from "../../protocol/headers.ts";

/** The status line (RFC 9112 section 4); the reason and even the space before it may be missing. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** How an answer's body ends: after so many bytes, by its own framing, with the connection, or it has none. */
export type AnswerFraming = number | "chunked" | "until the end" | "none";

/** The head of an answer, judged. */
export interface AnswerHead {
  readonly status: number;
  /** Latin-1, as the fields. */
  readonly reason: string;
  readonly fields: readonly Field[];
  readonly framing: AnswerFraming;
  /** Whether the connection may serve again once the answer has ended. */
  readonly isKept: boolean;
  /** How long its server keeps it then, in seconds, where it says so. */
  readonly keptSeconds: number | undefined;
}

/**
 * Reads the head of an answer of HTTP/1. What could be read in two ways is refused: of smuggling lives who reads it otherwise.
 *
 * @param text its lines and the line break behind the last one, as Latin-1
 * @param method of the request that it answers
 * @throws RelayError `target_protocol`
 */
export function readAnswerHead(text: string, method: string): AnswerHead {
  const lines = text.split("\r\n");
  const [, minor, digits, reason = ""] = STATUS_LINE.exec(lines[0]!) ?? [];
  if (digits === undefined) throw notHttp("its status line is none");
  const status = Number(digits);
  const fields: Field[] = [];
  let length: string | undefined;
  let coding: string | undefined;
  let keepAlive: string | undefined;
  let hasConnection = false;
  for (let i = 1; i < lines.length - 1; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    // What begins with white space goes on with the line before: it is no name, and refused (RFC 9112 section 5.2).
    if (colon < 1 || !isFieldName(name)) throw notHttp("a line of its head is no field");
    const value = trimmed(line, colon + 1);
    if (!isFieldText(value)) throw notHttp(`the value of ${name} has characters that it may not hold`);
    fields.push([name, value]);
    switch (name.length) {
      case 10: {
        const lower = name.toLowerCase();
        if (lower === "connection") hasConnection = true;
        else if (lower === "keep-alive") keepAlive = value;
        break;
      }
      case 14:
        if (name.toLowerCase() !== "content-length") break;
        if (length !== undefined) throw notHttp("it has more than one length");
        length = value;
        break;
      case 17:
        if (name.toLowerCase() !== "transfer-encoding") break;
        if (coding !== undefined) throw notHttp("it has more than one transfer coding");
        coding = value.toLowerCase();
        break;
      default:
    }
  }
  if (coding !== undefined && coding !== "chunked" && coding !== "identity") {
    // RFC 9112 section 7.4: no TE was sent that allows it, and the field that tells of it ends here.
    throw notHttp("it has a transfer coding besides chunked");
  }
  if (coding !== undefined && length !== undefined) throw notHttp("it has a length and a transfer coding");
  const bytes = length === undefined ? undefined : lengthOf(length);
  const isBodiless = method === "HEAD" || status === 204 || status === 304;
  const framing = isBodiless ? "none" : (bytes ?? (coding === "chunked" ? "chunked" : "until the end"));
  const options = hasConnection ? connectionNames(fields) : undefined;
  const isOpen = minor === "1" ? options?.has("close") !== true : options?.has("keep-alive") === true;
  // A server that speaks of a body where there can be none may also send one, and behind the answer to a HEAD some do. One of HTTP/1.0
  // knows no transfer coding (RFC 9112 section 6.1).
  const isDoubtful =
    method === "HEAD" ||
    (isBodiless && (coding !== undefined || (bytes ?? 0) > 0)) ||
    (minor === "0" && coding !== undefined);
  return {
    status,
    reason,
    fields,
    framing,
    isKept: isOpen && options?.has("close") !== true && framing !== "until the end" && !isDoubtful,
    keptSeconds: keepAlive === undefined ? undefined : keptSeconds(keepAlive),
  };
}

/**
 * The rest of a line without the white space around it, which is none of a value (RFC 9112 section 5.1). Character by character: an
 * expression would try each place of a long run of it.
 */
function trimmed(line: string, start: number): string {
  let first = start;
  let end = line.length;
  while (first < end && isBlank(line.charCodeAt(first))) first++;
  while (end > first && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(first, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** @throws RelayError where it is no plain number */
function lengthOf(text: string): number {
  const bytes = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(bytes)) throw notHttp("its length is no number");
  return bytes;
}

function keptSeconds(value: string): number | undefined {
  const digits = /(?:^|[,\s])timeout=([0-9]{1,9})(?:$|[,\s])/i.exec(value)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** An answer that can't be read. */
export function notHttp(why: string): RelayError {
  return new RelayError("target_protocol", `the target's answer is not HTTP: ${why}`);
}
