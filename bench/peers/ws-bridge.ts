import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { connect } from "node:net";
import { type RawData, WebSocketServer } from "ws";

/**
 * A bare bridge from WebSocket to TCP, with TLS as a node has it: what a few lines with `ws` do, and nothing else.
 *
 *   ws-bridge.ts HOST PORT CERT KEY TARGET_HOST TARGET_PORT
 */
const [host = "", port = "", cert = "", key = "", targetHost = "", targetPort = ""] = process.argv.slice(2);

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, { socket: wire }) => {
  const target = connect({ host: targetHost, port: Number(targetPort), noDelay: true });
  socket.on("message", (data: RawData) => {
    if (!target.write(data as Buffer)) socket.pause();
  });
  target.on("drain", () => socket.resume());
  target.on("data", (chunk) => {
    socket.send(chunk);
    if (wire.writableNeedDrain) target.pause();
  });
  wire.on("drain", () => target.resume());
  socket.on("close", () => target.destroy()).on("error", () => {});
  target.on("close", () => socket.close()).on("error", () => {});
});
server.listen(Number(port), host, () => console.log("ready"));
