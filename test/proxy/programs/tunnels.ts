import { once } from "node:events";
import { type IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { connect, type TLSSocket } from "node:tls";

/** Opens tunnels of the proxy, all at once, and asks something in each when all of them are open. */

const proxy = new URL(process.env["PROXY_URL"]!);
const target = new URL(process.argv[2]!);
const count = Number(process.argv[3]);

async function open(): Promise<TLSSocket> {
  const asked = request({
    host: proxy.hostname,
    port: proxy.port,
    // Else it is the Host field's, which is the target's.
    servername: proxy.hostname,
    method: "CONNECT",
    path: `${target.hostname}:443`,
    agent: false,
    headers: { "Proxy-Authorization": `Basic ${btoa(`${proxy.username}:${proxy.password}`)}` },
  }).end();
  const [answer, socket] = (await once(asked, "connect")) as [IncomingMessage, Socket];
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.statusMessage}`);
  const secure = connect({ socket, servername: target.hostname });
  await once(secure, "secureConnect");
  return secure;
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write(`GET / HTTP/1.1\r\nHost: ${target.hostname}\r\nConnection: close\r\n\r\n`);
  const answer = await text(socket);
  const body = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)) as { from: string };
  return body.from;
}

const sockets = await Promise.all(Array.from({ length: count }, open));
const addresses = await Promise.all(sockets.map(ask));
console.log(
  `${sockets.length} open, ${addresses.length} answered from ${[...new Set(addresses)].join(", ")}`,
);
