import { isErrorCode, RelayError } from "./errors.ts";
import { STREAM_CONTROL_MAX_BYTES } from "./limits.ts";
import { REQUEST_ID } from "./tokens.ts";

/** The WebSocket subprotocol of a stream. Without it a WebSocket carries bytes both ways and nothing else. */
export const STREAM_PROTOCOL = "holdfast.stream.v1";

/**
 * A request token may come as a subprotocol with this prefix, for WebSocket interfaces that can set no field. Whoever sends it so
 * can't read an HTTP answer either, and is told of a failure by a stream that begins and ends with `rst`.
 */
export const BEARER_PROTOCOL = "holdfast.bearer.";

/**
 * Text messages, each one JSON object; binary messages are the bytes, in order. Counts are of bytes since the stream was opened.
 *
 * - `open`: node to client, first on every connection: the stream's id, the address that the target sees, the window for each
 *   direction, and how much the node has received.
 * - `parked`: node to client, in place of the first `open` where the token says `park`: the node has dialled nothing. It tells what `open`
 *   will, but for the address, and for how many seconds the path stays.
 * - `dial`: client to node, once, on a path that is parked. Bytes may follow at once; `open` or `rst` is the answer.
 * - `ack`: how much of what came has been consumed; with `fin`, that this was all and its end has been passed on.
 * - `fin`: nothing more comes; `bytes` is how much there was in all.
 * - `rst`: the stream is over, and what of it is missing stays missing.
 * - `ping` wants any message; `pong` is there for who has nothing else to say.
 */
export type StreamMessage =
  | OpenMessage
  | ParkedMessage
  | { readonly type: "dial" }
  | { readonly type: "ack"; readonly bytes: number; readonly fin?: boolean }
  | { readonly type: "fin"; readonly bytes: number }
  | { readonly type: "rst"; readonly code: string; readonly detail: string }
  | { readonly type: "ping" | "pong" };

export interface OpenMessage {
  readonly type: "open";
  readonly stream: string;
  readonly egress: string;
  readonly node: string;
  readonly window: number;
  readonly received: number;
}

export interface ParkedMessage {
  readonly type: "parked";
  readonly stream: string;
  readonly node: string;
  readonly window: number;
  readonly seconds: number;
}

/**
 * Reads a control message.
 * @throws RelayError `stream_protocol`
 */
export function parseStreamMessage(text: string): StreamMessage {
  if (text.length > STREAM_CONTROL_MAX_BYTES) throw broken("a control message is too long");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RelayError("stream_protocol", "a control message is no JSON", { cause });
  }
  if (typeof value !== "object" || value === null) throw broken("a control message is no object");
  const { type, bytes, fin, code, detail, stream, egress, node, window, received, seconds } = value as Record<
    string,
    unknown
  >;
  switch (type) {
    case "ping":
    case "pong":
    case "dial":
      return { type };
    case "ack":
      if (!isCount(bytes)) throw broken("ack counts no bytes");
      return { type, bytes, fin: fin === true };
    case "fin":
      if (!isCount(bytes)) throw broken("fin counts no bytes");
      return { type, bytes };
    case "rst":
      if (typeof code !== "string") throw broken("rst has no code");
      return { type, code, detail: typeof detail === "string" ? detail : "" };
    case "open":
      if (
        typeof stream !== "string" ||
        !REQUEST_ID.test(stream) ||
        typeof egress !== "string" ||
        typeof node !== "string" ||
        !isCount(window) ||
        window === 0 ||
        !isCount(received)
      ) {
        throw broken("open lacks a member");
      }
      return { type, stream, egress, node, window, received };
    case "parked":
      if (
        typeof stream !== "string" ||
        !REQUEST_ID.test(stream) ||
        typeof node !== "string" ||
        !isCount(window) ||
        window === 0 ||
        !isCount(seconds)
      ) {
        throw broken("parked lacks a member");
      }
      return { type, stream, node, window, seconds };
    default:
      throw broken("a control message is of no known type");
  }
}

/** The error that a `rst` tells of. */
export function errorOfReset({
  code,
  detail,
}: {
  readonly code: string;
  readonly detail: string;
}): RelayError {
  const said = detail.slice(0, 500);
  return isErrorCode(code)
    ? new RelayError(code, said)
    : new RelayError(
        "stream_cancelled",
        `for a reason that this version does not know: ${code.slice(0, 64)}`,
      );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function broken(why: string): RelayError {
  return new RelayError("stream_protocol", why);
}
