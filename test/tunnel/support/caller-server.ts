import { createServer } from "node:http";
import { answerQuestions } from "../../support/conversation.ts";

/** Runs by `startModule`: tells each caller the address that it came from. Asked, it tells all of them. */

const [host, port] = process.argv.slice(2) as [string, string];
const callers: string[] = [];
const server = createServer((request, response) => {
  const caller = request.socket.remoteAddress ?? "";
  callers.push(caller);
  response.writeHead(200, { Connection: "close" }).end(caller);
});
server.listen(Number(port), host, () => answerQuestions(() => callers));
