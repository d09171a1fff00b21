import type { Socket } from "node:net";
import type { Framing } from "../protocol/claims.ts";

/** Methods for which undici announces `Content-Length: 0` where there is no body, and omits it for all others. */
const EXPECTS_PAYLOAD = new Set(["PUT", "POST", "PATCH", "QUERY", "PROPFIND", "PROPPATCH"]);

/**
 * Keeps a request's framing as it was signed where undici would choose another: no framing at all on a POST, a length of
 * zero on a DELETE, chunked framing of an empty body. In all three undici writes the whole request in one piece, a head
 * without a body, so its last line is put right as it passes; a head with a body goes through as it is.
 *
 * @returns `arm`, to be called before each dispatch on this connection
 */
export function keepFraming(socket: Socket): (method: string, framing: Framing) => void {
  let wanted: { readonly start: string; readonly framing: Framing } | undefined;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  const keeping = (...args: unknown[]): boolean => {
    if (wanted !== undefined && typeof args[0] === "string" && args[0].startsWith(wanted.start)) {
      args[0] = withFraming(args[0], wanted.framing);
      wanted = undefined;
    }
    return write(...args);
  };
  socket.write = keeping;
  return (method, framing) => {
    const differs =
      framing === "chunked" ||
      (framing === "none" ? EXPECTS_PAYLOAD.has(method) : framing === 0 && !EXPECTS_PAYLOAD.has(method));
    wanted = differs ? { start: `${method} `, framing } : undefined;
  };
}

const BODILESS = /(?:content-length: 0\r\n)?\r\n$/;

function withFraming(head: string, framing: Framing): string {
  // With a body, undici writes the head up to the framing field and the empty line with the first chunk.
  if (!head.endsWith("\r\n\r\n")) return head;
  if (framing === "chunked") return head.replace(BODILESS, "transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
  return head.replace(BODILESS, framing === 0 ? "content-length: 0\r\n\r\n" : "\r\n");
}
