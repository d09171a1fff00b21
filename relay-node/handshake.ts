import type { IncomingMessage } from "node:http";
import { RelayError } from "../protocol/errors.ts";
import { isFieldName } from "../protocol/headers.ts";

/** Fields of an answer to a request that asks for no WebSocket, or for another version of it (RFC 6455 section 4.4). */
export const UPGRADE_FIELDS = ["Upgrade", "websocket", "Sec-WebSocket-Version", "13"] as const;

/**
 * Checks a WebSocket's handshake (RFC 6455 section 4.2.1), before anything else is looked at.
 *
 * @returns the subprotocols that are offered, in order
 * @throws RelayError `method_not_allowed`, `upgrade_required`, `request_invalid`
 */
export function checkHandshake({
  method,
  headers,
}: Pick<IncomingMessage, "method" | "headers">): readonly string[] {
  if (method !== "GET") throw new RelayError("method_not_allowed", "a WebSocket is asked for by GET");
  if (headers.upgrade?.toLowerCase() !== "websocket") {
    throw new RelayError("upgrade_required", "this route speaks WebSocket alone");
  }
  if (headers["sec-websocket-version"] !== "13") {
    throw new RelayError("upgrade_required", "this route speaks version 13 of WebSocket alone");
  }
  // 16 bytes in base64.
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(headers["sec-websocket-key"] ?? "")) {
    throw new RelayError("request_invalid", "Sec-WebSocket-Key is missing or not 16 bytes in base64");
  }
  const offered = headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];
  if (!offered.every((name) => isFieldName(name)) || new Set(offered).size < offered.length) {
    throw new RelayError("request_invalid", "Sec-WebSocket-Protocol is no list of different names");
  }
  return offered;
}
