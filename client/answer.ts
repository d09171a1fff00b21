import { decodeSection, type ResponseHead, responseHead, sectionFromWire } from "../protocol/envelope.ts";
import { errorFromProblem, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { FIELDS_MAX_BYTES } from "../protocol/limits.ts";
import { parseTiming } from "./info.ts";
import { PROBLEM_MAX_BYTES } from "./limits.ts";
import { type Source, drain, readText, takeFront } from "./stream.ts";
import type { Exchange } from "./wire.ts";

/** A target's answer, taken out of its envelope; its body not yet read. */
export interface Answer {
  readonly head: ResponseHead;
  readonly source: Source | undefined;
}

/** How an answer of the edge is to be read. */
export type Mark =
  | { readonly kind: "target"; readonly sectionBytes: number | undefined }
  | { readonly kind: "error"; readonly code: string }
  | { readonly kind: "none" }
  | { readonly kind: "invalid"; readonly why: string };

/** Reads the mark that every answer of the relay carries. */
export function readMark(wire: Headers): Mark {
  const code = wire.get(WIRE.error);
  if (code !== null) return { kind: "error", code };
  if (wire.get(WIRE.status) !== "target") return { kind: "none" };
  const match = /^1(?: *; *body=([0-9]{1,9}))?$/.exec(wire.get(WIRE.envelope) ?? "");
  if (match === null) return { kind: "invalid", why: "its envelope is not of version 1" };
  const size = match[1] === undefined ? undefined : Number(match[1]);
  if (size !== undefined && size > FIELDS_MAX_BYTES) {
    return { kind: "invalid", why: "its field section is too large" };
  }
  return { kind: "target", sectionBytes: size };
}

/**
 * Takes the target's answer out of the edge's.
 *
 * @throws RelayError the relay's own failure; `edge_failed`, `answer_invalid`, `answer_cut`; or what the exchange was
 *   aborted with
 */
export async function openAnswer({ wire, requestId, explain }: Exchange): Promise<Answer> {
  const mark = readMark(wire.headers);
  const body = wire.body;
  if (mark.kind === "error") {
    const text = await readText(body, PROBLEM_MAX_BYTES);
    const timing = wire.headers.get(WIRE.timing);
    throw explain(() =>
      errorFromProblem(mark.code, text, wire.headers, timing === null ? undefined : parseTiming(timing)),
    );
  }
  if (mark.kind === "none") {
    if (body !== null) void drain(body.getReader());
    const type = wire.headers.get("content-type")?.slice(0, 80) ?? "no content type";
    throw new RelayError("edge_failed", `HTTP ${wire.status} with ${type} and no mark of the relay`, {
      requestId,
    });
  }
  let reader: Source["reader"] | undefined;
  try {
    if (mark.kind === "invalid") throw new RelayError("answer_invalid", mark.why);
    if (mark.sectionBytes === undefined) {
      const head = responseHead(sectionFromWire((name) => wire.headers.get(name)));
      return { head, source: body === null ? undefined : { reader: body.getReader(), rest: undefined } };
    }
    if (body === null) throw new RelayError("answer_cut", "the answer ended before the target's fields");
    const front = await takeFront(body, mark.sectionBytes);
    reader = front.reader;
    if (front.bytes === undefined) {
      throw new RelayError("answer_cut", "the answer ended within the target's fields");
    }
    return { head: responseHead(decodeSection(front.bytes)), source: front };
  } catch (cause) {
    if (reader !== undefined) void drain(reader);
    else if (body !== null && !body.locked) void drain(body.getReader());
    throw explain(() => answerError(cause, requestId));
  }
}

/** What is wrong with fields is told by the codes for requests; in an answer it is the answer's fault. */
function answerError(cause: unknown, requestId: string): RelayError {
  if (!(cause instanceof RelayError)) {
    return new RelayError("answer_cut", "the connection ended within the target's fields", {
      cause,
      requestId,
    });
  }
  const code = cause.code === "answer_cut" ? cause.code : "answer_invalid";
  return new RelayError(code, cause.detail, { cause, requestId });
}
