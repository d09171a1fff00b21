import type { Socket } from "node:net";
import { HTTP_HEADER_MAX_BYTES } from "../protocol/limits.ts";

/** The status line as HTTP/1 has it (RFC 9112 section 4); the reason and even the space before it may be missing. */
const STATUS_LINE = /^HTTP\/1\.[01] ([1-9][0-9]{2})(?: (.*))?$/;

/**
 * Reads the start of each answer before undici's parser does, for two things that it gets wrong: an unasked `100 Continue`
 * is a failure to it, where RFC 9110 section 15.2 has a client skip it, and a reason phrase is UTF-8 to it, of which it
 * keeps the last piece alone where it came in two. So interim answers are taken out, all but 101, which stays a failure,
 * and the reason is told as the bytes that came.
 *
 * Nothing is touched from the first byte of the final status line on; what is no status line goes through for the parser
 * to refuse.
 *
 * @returns `arm`, to be called before each dispatch on this connection
 */
export function watchAnswerStart(socket: Socket): (onReason: (reason: string) => void) => void {
  let tell: ((reason: string) => void) | undefined;
  let held: Buffer | undefined;

  /** What the parser is to see of these bytes, or undefined where more must come first. */
  const start = (chunk: Buffer): Buffer | undefined => {
    let bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    held = undefined;
    while (bytes.length > 0) {
      const lineEnd = bytes.indexOf("\r\n");
      const line = lineEnd === -1 ? undefined : STATUS_LINE.exec(bytes.toString("latin1", 0, lineEnd));
      if (line !== undefined && (line === null || !isInterim(line[1]!))) {
        if (line !== null) tell!(line[2] ?? "");
        tell = undefined;
        return bytes;
      }
      const headEnd = line === undefined ? -1 : bytes.indexOf("\r\n\r\n", lineEnd);
      if (headEnd === -1) {
        if (bytes.length <= HTTP_HEADER_MAX_BYTES) held = bytes;
        else tell = undefined;
        return held === undefined ? bytes : undefined;
      }
      bytes = bytes.subarray(headEnd + 4);
    }
    return undefined;
  };

  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.read = (size?: number) => {
    // Streams call read(0) on themselves, undici calls it without a size.
    if (tell === undefined || size !== undefined) return read(size);
    for (let chunk = read(); chunk !== null; chunk = read()) {
      const rest = start(chunk);
      if (rest !== undefined) return rest;
    }
    return null;
  };
  return (onReason) => {
    tell = onReason;
    held = undefined;
  };
}

function isInterim(status: string): boolean {
  return status.startsWith("1") && status !== "101";
}
