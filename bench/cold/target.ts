import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { answerQuestions } from "../../test/support/conversation.ts";
import { body } from "./body.ts";

/** The target: `/bytes/N` is answered by N bytes. Arguments: its address and port, certificate and key, and what it presents. */

const [host = "", port = "", cert = "", key = ""] = process.argv.slice(2);

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  const bytes = body(Number(/^\/bytes\/(\d+)$/.exec(request.url!)?.[1] ?? 0));
  request.resume();
  response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": bytes.length });
  response.end(bytes);
});
// As common servers do.
server.keepAliveTimeout = 65_000;
await new Promise<void>((listening) => server.listen(Number(port), host, listening));
answerQuestions(
  () => undefined,
  async () => server.close(),
);
