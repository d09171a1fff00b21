import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { answerQuestions } from "../support/conversation.ts";
import { HOSTS, PORT } from "./hosts.ts";
import type { Arrival } from "./ledger.ts";

/**
 * The `target` host: `ANY /<id>?delay=<ms>&bytes=<n>` is noted as it comes, and answered with the address that it came from.
 * Started with the paths of certificate and key; asked "take", it tells what it has noted since it was asked last.
 */

const KEEP_ALIVE_MS = 65_000;

let arrivals: Arrival[] = [];

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, "https://target");
  const from = request.socket.remoteAddress!;
  arrivals.push({ id: url.pathname.slice(1), method: request.method!, from, at: Date.now() });
  request.on("error", () => {});
  response.on("error", () => {});
  for await (const chunk of request) void chunk;
  await sleep(Number(url.searchParams.get("delay")));
  const padding = "x".repeat(Number(url.searchParams.get("bytes")));
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ from, padding }));
}

const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
const server = createServer({ cert, key, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  // What breaks off in mid-body has been noted; nobody waits for its answer.
  answer(request, response).catch(() => response.destroy());
});
await new Promise<void>((listening, failed) =>
  server.once("error", failed).listen(PORT, HOSTS.target, listening),
);
answerQuestions(() => {
  const taken = arrivals;
  arrivals = [];
  return taken;
});
