import { errorFromProblem, type Reached, RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { PROBLEM_MAX_BYTES } from "./limits.ts";
import { readText } from "./stream.ts";
import type { Fetch } from "./wire.ts";

/** A question to the edge itself, which answers with JSON. */
export interface EdgeCall {
  readonly edge: string;
  readonly path: string;
  readonly init: RequestInit;
  /** The longest answer that is read. */
  readonly maxBytes: number;
  /** Whether it can have come to something where no word of the edge's came back. */
  readonly reached: Reached;
  /** What the caller's own side ended it with; undefined where it didn't. */
  readonly failure: () => unknown;
}

/**
 * Asks the edge.
 *
 * @returns its JSON as text
 * @throws RelayError as the edge answered; `edge_unreachable`, `edge_failed`; or the caller's own failure
 */
export async function askEdge(
  { edge, path, init, maxBytes, reached, failure }: EdgeCall,
  underlying: Fetch,
): Promise<string> {
  let answer: Response;
  try {
    answer = await underlying(`${edge}${path}`, { ...init, redirect: "manual" });
  } catch (cause) {
    const thrown: unknown =
      failure() ?? new RelayError("edge_unreachable", `${edge} gave no answer`, { cause, reached });
    throw thrown;
  }
  const code = answer.headers.get(WIRE.error);
  if (code !== null) {
    throw errorFromProblem(code, await readText(answer.body, PROBLEM_MAX_BYTES), answer.headers);
  }
  const text = await readText(answer.body, maxBytes);
  if (answer.status >= 200 && answer.status < 300) return text;
  const detail = `${edge}${path} answered ${answer.status} with no mark of the relay`;
  throw new RelayError("edge_failed", detail, { reached });
}
