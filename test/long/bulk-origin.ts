import { readFileSync } from "node:fs";
import { createServer } from "node:https";

/**
 * A target for bulk bodies, in a process of its own: GET answers with `?bytes=` bytes, anything else with the count of
 * what it took. Started with the paths of certificate and key; says its port to its parent.
 */
const [cert, key] = process.argv.slice(2);
const piece = Buffer.alloc(65_536, "holdfast");

const server = createServer({ cert: readFileSync(cert!), key: readFileSync(key!) }, (request, response) => {
  if (request.method !== "GET") {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    request.on("end", () => response.end(String(bytes)));
    return;
  }
  let left = Number(new URL(request.url!, "https://localhost").searchParams.get("bytes"));
  response.writeHead(200, { "Content-Length": left });
  const pump = (): void => {
    while (left > 0) {
      const chunk = left < piece.length ? piece.subarray(0, left) : piece;
      left -= chunk.length;
      if (!response.write(chunk)) {
        response.once("drain", pump);
        return;
      }
    }
    response.end();
  };
  pump();
});

server.listen(0, "127.0.0.1", () => process.send!((server.address() as { port: number }).port));
process.once("disconnect", () => process.exit(0));
