import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { Http1Request } from "./http1/connection.ts";
import { RequestBody } from "./request-body.ts";

/** A request as undici must be given it for HTTP/2: a body that it can pipe, and fields whose repeats it doesn't join. */
export function forHttp2(origin: string, request: Http1Request): Dispatcher.DispatchOptions {
  const { method, path, authority, framing, fields, body } = request;
  const headers = withDistinctNames(["host", authority, ...fields]);
  if (typeof framing === "number" && body !== null) headers.push("content-length", String(framing));
  return { origin, path, method, headers, body: body instanceof RequestBody ? readableOf(body) : body };
}

/**
 * undici joins repeated fields into one, at the place of the first. It knows them by their names as they are written, and
 * Node writes all names in lower case: so each repeat gets another spelling, as long as a name's letters have one left.
 */
function withDistinctNames(flat: readonly string[]): string[] {
  const taken = new Set<string>();
  return flat.map((text, i) => {
    if (i % 2 === 1) return text;
    const lower = text.toLowerCase();
    let name = lower;
    for (let n = 1; taken.has(name); n++) {
      const next = spelling(lower, n);
      if (next === undefined) return lower;
      name = next;
    }
    taken.add(name);
    return name;
  });
}

/** The nth spelling of a name: its letters are the digits of a binary number, upper case for 1. */
function spelling(lower: string, n: number): string | undefined {
  let left = n;
  const spelled = lower.replace(/[a-z]/g, (letter) => {
    const upper = (left & 1) === 1;
    left >>>= 1;
    return upper ? letter.toUpperCase() : letter;
  });
  return left === 0 ? spelled : undefined;
}

/** A stream of Node's over a body, which errors where the body is cut: then the HTTP/2 stream is reset and not ended. */
function readableOf(body: RequestBody): Readable {
  let ended = false;
  const readable = new Readable({
    read: () => void body.resume(),
    destroy: (error, done) => {
      body.destroy();
      done(error);
    },
  });
  body.on("data", (chunk: Buffer) => {
    if (!readable.push(chunk)) body.pause();
  });
  body.on("end", () => {
    ended = true;
    readable.push(null);
  });
  body.on("error", (error: Error) => readable.destroy(error));
  body.on("close", () => {
    if (!ended) readable.destroy();
  });
  return readable;
}
