import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { BEARER_PROTOCOL, STREAM_PROTOCOL, type StreamMessage } from "../protocol/stream-messages.ts";
import { STREAM_CONTROL_MAX_BYTES } from "../protocol/limits.ts";

/** What a request for a WebSocket says of itself. */
export interface Upgrade {
  /** The subprotocols that are offered to the node: the stream's, or none for bare bytes. */
  readonly protocol: typeof STREAM_PROTOCOL | undefined;
  /** `Bearer <token>`, wherever it stood. */
  readonly authorization: string | null;
  /** The token came as a subprotocol, so that the caller can't read an HTTP answer: it is told of failures in band. */
  readonly inBand: boolean;
}

/**
 * Reads a WebSocket handshake.
 * @throws RelayError `upgrade_required`, `request_invalid`
 */
export function readUpgrade({ method, headers }: Pick<Request, "method" | "headers">): Upgrade {
  if (method !== "GET" || headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw new RelayError("upgrade_required", "this is no WebSocket's handshake");
  }
  const version = headers.get("sec-websocket-version");
  const key = headers.get("sec-websocket-key");
  // A caller in the same runtime has neither. What is wrong over HTTP the runtime refuses itself, but only after the dial.
  if ((version !== null || key !== null) && !(version === "13" && isKey(key))) {
    throw new RelayError(
      "upgrade_required",
      "Sec-WebSocket-Version is not 13, or Sec-WebSocket-Key is no key",
    );
  }
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  const protocol = offered.includes(STREAM_PROTOCOL) ? STREAM_PROTOCOL : undefined;
  const field = headers.get(WIRE.authorization);
  if (field !== null) return { protocol, authorization: field, inBand: false };
  const bearers = offered.filter((name) => name.startsWith(BEARER_PROTOCOL));
  if (bearers.length === 0) return { protocol, authorization: null, inBand: false };
  // One of those offered must be chosen, and that must not be the token.
  if (bearers.length > 1 || protocol === undefined) {
    throw new RelayError(
      "request_invalid",
      `offer one token as a subprotocol, and ${STREAM_PROTOCOL} besides`,
    );
  }
  return { protocol, authorization: `Bearer ${bearers[0]!.slice(BEARER_PROTOCOL.length)}`, inBand: true };
}

/** RFC 6455 section 4.1: 16 bytes in base64. */
function isKey(key: string | null): boolean {
  return key !== null && /^[A-Za-z0-9+/]{22}==$/.test(key);
}

/** WebSocket close codes (RFC 6455 section 7.4.1). */
const NORMAL_CLOSURE = 1_000;

/** Tells of a failure by a stream that begins and ends with `rst`. */
export function resetInBand({ code, detail }: RelayError): Response {
  const { 0: theirs, 1: ours } = new WebSocketPair();
  // Escaped, a character of JSON has up to six bytes.
  const said = detail.slice(0, STREAM_CONTROL_MAX_BYTES / 8);
  ours.accept();
  ours.send(JSON.stringify({ type: "rst", code, detail: said } satisfies StreamMessage));
  ours.close(NORMAL_CLOSURE);
  return new Response(null, {
    status: 101,
    headers: { "Sec-WebSocket-Protocol": STREAM_PROTOCOL },
    webSocket: theirs,
  });
}
