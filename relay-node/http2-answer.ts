import { subscribe } from "node:diagnostics_channel";
import type { ClientHttp2Stream } from "node:http2";

/** The raw fields of HTTP/2 answers, by the header object that Node made of them. */
const rawFields = new WeakMap<object, readonly string[]>();

// Node folds repeated HTTP/2 fields into one and undici hands that on; the list as it came is told to listeners alone.
subscribe("http2.client.stream.created", (message) => {
  const { stream } = message as { stream: ClientHttp2Stream };
  stream.prependListener("response", (headers: object, _flags: number, raw: readonly string[]) =>
    rawFields.set(headers, raw),
  );
  failWhereReset(stream);
});

/**
 * Node ends an answer's body in good order where its stream is reset with NO_ERROR or CANCEL, or its connection is lost.
 * The end is pushed in each case; but the end that the target meant is pushed before the stream is closed.
 */
function failWhereReset(stream: ClientHttp2Stream): void {
  const push = stream.push.bind(stream);
  let ended = false;
  const judged = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk !== null || ended || !(stream.closed || stream.destroyed)) {
      ended ||= chunk === null;
      return push(chunk, encoding);
    }
    // Node goes on with the stream when this returns.
    const error = Object.assign(new Error("the stream was reset"), { code: "ERR_HTTP2_STREAM_ERROR" });
    queueMicrotask(() => stream.destroy(error));
    return false;
  };
  stream.push = judged;
}

/**
 * An answer's fields in their order, repeats kept, as Latin-1 text, pseudo-fields left out.
 *
 * @param raw what undici's controller has as `rawHeaders`: name and value buffers of HTTP/1.1, or the object of HTTP/2
 */
export function answerFields(raw: unknown): [string, string][] {
  const flat = Array.isArray(raw)
    ? raw
    : (rawFields.get(raw as object) ?? Object.entries(raw as object).flatMap(unfolded));
  const fields: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = latin1(flat[i]);
    if (!name.startsWith(":")) fields.push([name, latin1(flat[i + 1])]);
  }
  return fields;
}

function unfolded([name, value]: [string, unknown]): string[] {
  return Array.isArray(value) ? value.flatMap((one: unknown) => [name, String(one)]) : [name, String(value)];
}

function latin1(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString("latin1") : String(value);
}
