import type { IncomingMessage } from "node:http";
import { errorFromProblem, RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { parseTiming } from "../info.ts";
import { PROBLEM_MAX_BYTES } from "../limits.ts";

/** An answer in place of the one that was asked for. */
export interface Refusal {
  readonly error: RelayError;
  /** The relay's own word, as the answer has it; undefined for a page of something in between. */
  readonly code: string | undefined;
  /** The node that says so, where one does. */
  readonly node: string | undefined;
}

/** Reads what an answer of the relay's says that is no success. */
export async function readRefusal(response: IncomingMessage): Promise<Refusal> {
  const fields = { get: (name: string) => response.headers[name]?.toString() ?? null };
  const code = fields.get(WIRE.error);
  const node = fields.get(WIRE.node) ?? undefined;
  if (code === null) {
    const type = fields.get("content-type")?.slice(0, 80) ?? "no content type";
    const detail = `HTTP ${response.statusCode} with ${type} and no mark of the relay`;
    return { error: new RelayError("edge_failed", detail), code: undefined, node };
  }
  const timing = fields.get(WIRE.timing);
  const problem = await readAtMost(response, PROBLEM_MAX_BYTES);
  const error = errorFromProblem(code, problem, fields, timing === null ? undefined : parseTiming(timing));
  return { error, code, node };
}

/** The text of an answer; what is beyond `max` bytes, or breaks off, is left out. */
export async function readAtMost(response: IncomingMessage, max: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > max) break;
    }
  } catch {
    // What was read so far is enough.
  }
  return Buffer.concat(chunks).toString();
}
