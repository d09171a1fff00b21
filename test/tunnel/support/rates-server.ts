import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { answerQuestions } from "../../support/conversation.ts";

/** Runs by `startModule`: an HTTPS API of a bank's. Asked, it tells who has called. */

const [host, port, cert, key] = process.argv.slice(2) as [string, string, string, string];
const callers: (string | undefined)[] = [];
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  callers.push(request.socket.remoteAddress);
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ rate: 1.0825 }));
});
server.listen(Number(port), host, () => answerQuestions(() => callers));
