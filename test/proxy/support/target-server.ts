import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { join, normalize } from "node:path";
import { type Duplex, Readable } from "node:stream";
import { WebSocketServer } from "ws";
import { answerQuestions } from "../../support/conversation.ts";
import { blocks } from "./blocks.ts";

/**
 * Runs by `startModule`: a target, with HTTPS on port 443 and HTTP on port 80. Arguments: its address, the files of its
 * certificate and key, a folder. Asked, it tells all that has come.
 *
 *   /files/…    what lies in the folder
 *   /bytes/<n>  so many bytes of the pattern
 *   /hash       the length and SHA-256 of the body
 *   else        who has called, and how; as a WebSocket, every message back
 */

/** What a target has seen of one request. */
export interface Call {
  /** The address that it came from. */
  readonly from: string;
  readonly scheme: "http" | "https";
  readonly method: string;
  readonly url: string;
  /** Names and values in turn, as they came. */
  readonly fields: readonly string[];
}

const [host, cert, key, folder] = process.argv.slice(2) as [string, string, string, string];
const calls: Call[] = [];

function call(scheme: Call["scheme"], request: IncomingMessage): Call {
  const seen: Call = {
    from: request.socket.remoteAddress ?? "",
    scheme,
    method: request.method!,
    url: request.url!,
    fields: request.rawHeaders,
  };
  calls.push(seen);
  return seen;
}

async function answer(
  scheme: Call["scheme"],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const seen = call(scheme, request);
  const path = new URL(seen.url, "http://localhost").pathname;
  const size = /^\/bytes\/(\d+)$/.exec(path)?.[1];
  if (size !== undefined) {
    response.writeHead(200, { "Content-Length": size });
    Readable.from(blocks(Number(size))).pipe(response);
    return;
  }
  if (path.startsWith("/files/")) {
    createReadStream(join(folder, normalize(path.slice("/files".length))))
      .once("error", () => response.writeHead(404).end())
      .pipe(response);
    return;
  }
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk);
    length += chunk.length;
  }
  const told = path === "/hash" ? { length, hash: hash.digest("hex") } : seen;
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(told));
}

const serve = (scheme: Call["scheme"]) => (request: IncomingMessage, response: ServerResponse) => {
  answer(scheme, request, response).catch(() => response.destroy());
};

const sockets = new WebSocketServer({ noServer: true });
const servers = {
  https: createHttps({ cert: readFileSync(cert), key: readFileSync(key) }, serve("https")),
  http: createHttp(serve("http")),
};
for (const [scheme, server] of Object.entries(servers)) {
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { from } = call(scheme as Call["scheme"], request);
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.send(from);
      webSocket.on("message", (data, isBinary) => webSocket.send(data, { binary: isBinary }));
    });
  });
}
servers.https.listen(443, host, () => servers.http.listen(80, host, () => answerQuestions(() => calls)));
