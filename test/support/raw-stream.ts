import { expect } from "vitest";
import type { WebSocket } from "ws";
import type { NodeHere } from "./node-here.ts";
import { askStream } from "./stream-client.ts";

/** A stream without a protocol, at its client. */
export interface Raw {
  readonly socket: WebSocket;
  /** What has come so far. */
  readonly bytes: () => Buffer;
  readonly closed: Promise<[code: number, reason: string]>;
}

/** Opens one under a grant with these claims. */
export async function openRaw(
  node: NodeHere,
  claims: Readonly<Record<string, unknown>>,
  protocols: readonly string[] = [],
): Promise<Raw> {
  const { socket, inbox, head } = await askStream(node, { claims, protocols });
  expect(head.headers["relay-status"]).toBe("target");
  expect(head.headers["sec-websocket-protocol"]).toBeUndefined();
  const chunks: Buffer[] = [];
  inbox.listen((message) => {
    if (typeof message === "string") throw new Error("a text message came");
    chunks.push(message);
  });
  socket.on("error", () => {});
  const closed = new Promise<[number, string]>((resolve) => {
    socket.once("close", (code, reason) => resolve([code, reason.toString()]));
  });
  return { socket, bytes: () => Buffer.concat(chunks), closed };
}
