import { RelayError } from "./errors.ts";
import { CONSUMED_BATCH_MAX_ENTRIES } from "./limits.ts";

/**
 * Used request ids as nodes tell them to each other and keep them on disk: one line an entry, `<client> <jti> <attempt>
 * <pass>`, where a pass of `-` stands for an id that nothing may use any more.
 *
 * The pass comes last, so that a line that was cut short names either no id or a pass that no grant has: the id is refused.
 */
export interface ConsumedEntry {
  /** Client id and request id with a space between. */
  readonly id: string;
  /** Which attempt of which pass has it: `<attempt> <pass>`. */
  readonly mark: string;
}

/** The mark of an id that no pass may use. */
export const FORBIDDEN_MARK = "0 -";

/** Client id, request id, attempt and pass, each as grants have them. */
const ENTRY =
  /^([a-z0-9][a-z0-9_-]{0,62} [A-Za-z0-9_-]{21}[AQgw]) ((?:0|[1-9][0-9]{0,15}) (?:-|[A-Za-z0-9_-]{11,22}))$/;

/** Reads one line; undefined where it is no entry. */
export function readEntry(line: string): ConsumedEntry | undefined {
  const match = ENTRY.exec(line);
  return match === null ? undefined : { id: match[1]!, mark: match[2]! };
}

/**
 * Reads lines, each without its line feed.
 * @throws RelayError `request_invalid` where any is no entry
 */
export function readEntries(lines: readonly string[]): ConsumedEntry[] {
  return lines.map((line) => {
    const entry = readEntry(line);
    if (entry === undefined) throw new RelayError("request_invalid", "a line is no used request id");
    return entry;
  });
}

/**
 * Reads a batch, which is the body of `POST /consumed`: lines that each end with a line feed.
 * @throws RelayError `request_invalid` where any line is no entry or there are too many
 * @example readBatch("shop AAECAwQFBgcICQoLDA0ODw 0 AAECAwQFBgc\n")
 */
export function readBatch(body: string): ConsumedEntry[] {
  if (body === "") return [];
  if (!body.endsWith("\n")) throw new RelayError("request_invalid", "a batch ends with a line feed");
  const lines = body.slice(0, -1).split("\n");
  if (lines.length > CONSUMED_BATCH_MAX_ENTRIES) {
    throw new RelayError("request_invalid", `a batch has at most ${CONSUMED_BATCH_MAX_ENTRIES} entries`);
  }
  return readEntries(lines);
}
