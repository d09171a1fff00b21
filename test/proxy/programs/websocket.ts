import { createHash } from "node:crypto";
import { once } from "node:events";
import { HttpsProxyAgent } from "https-proxy-agent";
import { WebSocket } from "ws";

/** Speaks with a server that sends every message back, through a tunnel of the proxy. */

const agent = new HttpsProxyAgent(process.env["PROXY_URL"]!);
const socket = new WebSocket(process.argv[2]!, { agent });
const next = async () => ((await once(socket, "message")) as [Buffer])[0];
const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const from = (await next()).toString();
const same: boolean[] = [];
for (const message of [Buffer.from("a word"), Buffer.alloc(1_000_000, "much"), Buffer.alloc(0)]) {
  socket.send(message);
  same.push(hash(await next()) === hash(message));
}
socket.close(1_000);
const [code] = (await once(socket, "close")) as [number];
console.log(JSON.stringify({ from, same, code }));
