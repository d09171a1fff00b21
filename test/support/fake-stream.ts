import { type WebSocket, WebSocketServer } from "ws";
import type { GrantClaims } from "../../protocol/grants.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import type { FakePoolNode } from "./fake-pool.ts";

/** The address that a fake node says it dials from. */
export const FAKE_EGRESS = "127.0.0.2";

/**
 * Answers 101 as a node does that has dialled.
 * @example node.upgrade = takesStream((socket) => socket.on("message", (data) => socket.send(data)));
 */
export function takesStream(
  use: (socket: WebSocket, grant: GrantClaims) => void,
): NonNullable<FakePoolNode["upgrade"]> {
  return (request, socket, head, grant) => {
    const server = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(STREAM_PROTOCOL) ? STREAM_PROTOCOL : false),
    });
    server.on("headers", (lines) =>
      lines.push(
        "Relay-Status: target",
        `Relay-Node: ${grant.aud}`,
        `Relay-Egress: ${FAKE_EGRESS}`,
        `Relay-Request-Id: ${grant.jti}`,
      ),
    );
    server.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on("error", () => {});
      use(accepted, grant);
    });
  };
}
