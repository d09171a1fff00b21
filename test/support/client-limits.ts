import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { GrantLimits } from "../../protocol/grants.ts";
import { type NodeAsk, type NodeProcess, startNodeProcess } from "./node-process.ts";
import { type RawAnswer, rawRequest, sendRaw } from "./raw-http.ts";

/** A node, a plain target that answers by path, and what a client with limits asks of it. */
export interface LimitedNode {
  readonly node: NodeProcess;
  readonly origin: string;
  /** Sends a request under a grant with these limits. */
  ask(limits: GrantLimits, ask?: LimitedAsk): Promise<RawAnswer | undefined>;
  /** The bytes of such a request. */
  bytes(limits: GrantLimits, ask?: LimitedAsk): string;
  /** Requests whose head the target has seen. */
  seen(): number;
  /** Lets go of all answers that wait. */
  letGo(): void;
  /** The node's own count of slots that are taken. */
  slots(): Promise<number>;
  stop(): Promise<void>;
}

export interface LimitedAsk extends NodeAsk {
  readonly path?: string;
  readonly client?: string;
}

/** What the target does with a request, by the first part of its path. */
type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

export async function startLimitedNode(config?: Readonly<Record<string, unknown>>): Promise<LimitedNode> {
  const waiting = new Set<ServerResponse>();
  let seen = 0;
  const behaviours: Readonly<Record<string, Behaviour>> = {
    // A body of so many bytes.
    bytes: ({ url }, response) => void response.end(Buffer.alloc(Number(url!.split("/")[2]), "x")),
    empty: (_request, response) => void response.writeHead(204).end(),
    wait: (_request, response) => void waiting.add(response),
    begin: (_request, response) => void response.writeHead(200).write("begun"),
    closes: ({ socket }) => void socket.destroy(),
    breaks: ({ socket }, response) => {
      response.writeHead(200, { "Content-Length": 100 }).write("a part");
      setTimeout(() => socket.destroy(), 20);
    },
    garbage: ({ socket }) => void socket.end("this is not HTTP\r\n\r\n"),
    // Answers before the request's body has come.
    early: (_request, response) => void response.end("early"),
    // Reads all of the body.
    sink: (request, response) => {
      let size = 0;
      request.on("data", (chunk: Buffer) => (size += chunk.length));
      request.on("end", () => response.end(String(size)));
    },
  };
  const target = createServer((request, response) => {
    seen++;
    response.once("close", () => waiting.delete(response));
    const behave = behaviours[request.url!.split("/")[1]!]!;
    behave(request, response);
  });
  await new Promise<void>((done) => target.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(target.address() as AddressInfo).port}`;
  const node = await startNodeProcess(config);
  const complete = (limits: GrantLimits, { path = "/bytes/2", client = "app", ...ask }: LimitedAsk = {}) => ({
    ...ask,
    claims: { url: origin + path, sub: client, limits, ...ask.claims },
  });
  return {
    node,
    origin,
    ask: (limits, ask) => node.ask(complete(limits, ask)),
    bytes: (limits, ask) => node.bytes(complete(limits, ask)),
    seen: () => seen,
    letGo() {
      for (const response of waiting) response.end("late");
    },
    async slots() {
      const answer = await sendRaw(
        { port: node.metricsPort },
        rawRequest("GET /metrics", ["Host: x", "Connection: close"]),
      );
      return Number(/^holdfast_client_slots (\d+)$/m.exec(answer!.body)![1]);
    },
    async stop() {
      await node.stop();
      target.closeAllConnections();
      await new Promise((done) => target.close(done));
    },
  };
}
