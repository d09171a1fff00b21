import { createServer, type Server } from "node:https";

/** An HTTPS server that tells each caller what it saw of it. */
export async function startDemoTarget(options: {
  readonly host: string;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
}): Promise<Server> {
  const server = createServer({ cert: options.cert, key: options.key }, (request, response) => {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    request.on("end", () => {
      const seen = {
        from: request.socket.remoteAddress,
        method: request.method,
        url: request.url,
        fields: request.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : [])),
        body_bytes: bytes,
      };
      response
        .writeHead(200, { "Content-Type": "application/json" })
        .end(`${JSON.stringify(seen, null, 2)}\n`);
    });
  });
  await new Promise<void>((done, failed) =>
    server.once("error", failed).listen(options.port, options.host, done),
  );
  return server;
}
