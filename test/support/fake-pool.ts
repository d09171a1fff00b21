import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { type IncomingMessage, ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { adminCall, type Operator } from "../../client/admin.ts";
import { type DevKeys, devKeys, publicHalf } from "../../dev/keys.ts";
import { startWorkerd } from "../../dev/workerd.ts";
import { encodeResponseSection, sectionFromWire, sectionToWire } from "../../protocol/envelope.ts";
import { problemResponse, type RelayError } from "../../protocol/errors.ts";
import type { GrantClaims } from "../../protocol/grants.ts";
import type { Field } from "../../protocol/headers.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { rankNodes } from "../../worker/nodes.ts";
import { WORKER_DIR } from "./build-worker.ts";
import { freePort } from "./stack.ts";

/** What a node was sent, its body whole. */
export interface Sent {
  readonly grant: GrantClaims;
  readonly fields: readonly Field[];
  /** Without the tail. */
  readonly body: string;
  readonly tail: number;
}

/** How a node answers a request that has come whole. */
export type Answer = (request: IncomingMessage, response: ServerResponse, sent: Sent) => void;

/** An answer of `/healthz`. */
export type Health = readonly [status: number, body: unknown];

/** One node that is a server of the test's. */
export interface FakePoolNode {
  readonly id: string;
  /** Requests that came whole, `/fetch` alone. */
  readonly sent: readonly Sent[];
  /** Heads of requests, also of those that never came whole. */
  readonly heads: number;
  /** `/cancel`, as it came. */
  readonly cancels: number;
  /** A target's answer by default. */
  answer: Answer;
  /** Answers upon the head, before the body has come, which is then dropped. */
  early: Answer | undefined;
  /** Takes what asks for another protocol; without it that is a request like any other. */
  upgrade: ((request: IncomingMessage, socket: Duplex, head: Buffer, grant: GrantClaims) => void) | undefined;
  /** What `/healthz` answers, now or later. */
  health: () => Health | Promise<Health>;
  /** From now on connections are taken in this way, and those that there are end. Without it the HTTPS server takes them. */
  takeConnections(take?: (socket: Socket) => void): Promise<void>;
  /** Nobody listens any more, and open connections are reset. */
  shut(): Promise<void>;
  open(): Promise<void>;
}

/** An edge in workerd, and nodes that are servers of the test's. */
export interface FakePool {
  readonly edge: string;
  readonly relayUrl: string;
  /** May write the registry, in which the one client is `app`. */
  readonly operator: Operator;
  readonly operatorKey: string;
  /** The edge's, the nodes' and the client's. */
  readonly keys: DevKeys;
  readonly nodes: readonly FakePoolNode[];
  /** Two nodes that nothing has been sent to yet. */
  pair(): readonly [FakePoolNode, FakePoolNode];
  log(): string;
  /** The edge's process, as long as it is not restarted. */
  edgePid(): number;
  /**
   * Kills the edge and starts it again on the same disk.
   * @param ids the nodes of its new configuration; all by default
   * @param whileDown may change what is stored, by the folder of the Durable Objects' databases
   */
  restartEdge(ids?: readonly string[], whileDown?: (storage: string) => void): Promise<void>;
  stop(): Promise<void>;
}

/** A request id for which the first of these nodes is the first that is asked. */
export function idFor([first, ...others]: readonly { readonly id: string }[]): string {
  for (;;) {
    const id = newRequestId();
    if (rankNodes([first!, ...others], id)[0] === first) return id;
  }
}

/**
 * @param count how many nodes
 * @param allow the client's targets
 * @param edgeVars besides those that an edge needs
 */
export async function startFakePool(
  count: number,
  allow: readonly string[],
  edgeVars: Readonly<Record<string, unknown>> = {},
  inspectorPort?: number,
): Promise<FakePool> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-pool-"));
  const ids = Array.from({ length: count }, (_, i) => `node-${i + 1}`);
  const keys = await devKeys(dir, ids);
  const nodes = await Promise.all(ids.map((id) => startNode(id, keys)));
  const edgePort = await freePort();
  const edge = `http://127.0.0.1:${edgePort}`;
  const logFile = join(dir, "edge.log");
  const startEdge = async (configured: readonly string[]) => {
    const output = openSync(logFile, "a");
    const child = await startWorkerd({
      module: join(WORKER_DIR, "index.js"),
      dir: join(dir, "edge"),
      host: "127.0.0.1",
      port: edgePort,
      vars: {
        EDGE_ORIGIN: edge,
        NODES: nodes
          .filter(({ node }) => configured.includes(node.id))
          .map(({ node, port }) => ({
            id: node.id,
            url: `https://localhost:${port}`,
            key: publicHalf(keys.nodeSigningKeys[node.id]!),
            addresses: [{ address: "127.0.0.2", since: "2026-01-01" }],
          })),
        OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: "operator" }] },
        ...edgeVars,
      },
      secrets: {
        GRANT_MASTER_KEY: keys.grantMasterKey,
        STORAGE_KEYS: keys.storageKeys,
        EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey),
      },
      ca: keys.ca,
      output,
      inspectorPort,
    });
    closeSync(output);
    return child;
  };
  const kill = async (child: ChildProcess) => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  let workerd = await startEdge(ids);
  const operator = { edge, keyId: "operator", key: await importPrivateKey(keys.operator.privateKey) };
  await adminCall(operator, "PUT", "/admin/clients/app", {
    body: { id: "app", keys: [keys.client.publicJwk], allow },
  });
  let used = 0;
  return {
    edge,
    relayUrl: edge.replace("//", `//app:${keys.client.privateKey}@`),
    operator,
    operatorKey: keys.operator.privateKey,
    keys,
    nodes: nodes.map(({ node }) => node),
    pair() {
      used += 2;
      const [first, second] = nodes.slice(used - 2, used);
      if (second === undefined) throw new Error("the pool has too few nodes for another pair");
      return [first!.node, second.node];
    },
    log: () => readFileSync(logFile, "utf8"),
    edgePid: () => workerd.pid!,
    async restartEdge(configured = ids, whileDown) {
      await kill(workerd);
      whileDown?.(join(dir, "edge/durable-objects"));
      workerd = await startEdge(configured);
    },
    async stop() {
      await kill(workerd);
      await Promise.all(nodes.map(({ node }) => node.shut()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function startNode(id: string, keys: DevKeys): Promise<{ node: FakePoolNode; port: number }> {
  const noted = { sent: [] as Sent[], heads: 0, cancels: 0 };
  const https = createHttps({ cert: keys.cert, key: keys.key, maxHeaderSize: 262_144 });
  https.on("tlsClientError", () => {});
  https.on("request", (request: IncomingMessage, response: ServerResponse) => {
    request.on("error", () => {});
    if (request.url === "/healthz") {
      void Promise.resolve(node.health()).then(([status, body]) =>
        response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body)),
      );
    } else if (request.url === "/cancel") {
      noted.cancels++;
      response.writeHead(204).end();
    } else {
      noted.heads++;
      if (node.early !== undefined) {
        request.resume();
        node.early(request, response, sentOf(request, Buffer.alloc(0)));
        return;
      }
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const sent = sentOf(request, Buffer.concat(chunks));
        noted.sent.push(sent);
        node.answer(request, response, sent);
      });
    }
  });
  https.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {});
    noted.heads++;
    if (node.upgrade !== undefined) {
      node.upgrade(request, socket, head, grantOf(request));
      return;
    }
    const response = new ServerResponse(request);
    response.assignSocket(socket as Socket);
    response.once("finish", () => socket.end());
    const sent = { grant: grantOf(request), fields: [], body: "", tail: 0 };
    noted.sent.push(sent);
    node.answer(request, response, sent);
  });
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => void https.emit("connection", socket);
  let take: (socket: Socket) => void = serve;
  const accept = (socket: Socket) => {
    sockets.add(socket.on("error", () => {}));
    socket.once("close", () => sockets.delete(socket));
    take(socket);
  };
  let server: Server = createServer(accept);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const node: FakePoolNode = {
    id,
    sent: noted.sent,
    get heads() {
      return noted.heads;
    },
    get cancels() {
      return noted.cancels;
    },
    answer: targets("ok"),
    early: undefined,
    upgrade: undefined,
    health: () => [200, { status: "ok", node: id }],
    async takeConnections(how = serve) {
      take = how;
      for (const socket of sockets) socket.destroy();
      // The edge is to have noticed, or it would send a request into a connection that is no more.
      await pause(100);
    },
    async shut() {
      if (!server.listening) return;
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
      await once(server, "close");
    },
    async open() {
      server = createServer(accept);
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
  return { node, port };
}

function grantOf({ headers }: IncomingMessage): GrantClaims {
  const payload = (headers["relay-authorization"] as string).split(".")[1]!;
  return JSON.parse(Buffer.from(payload, "base64url").toString()) as GrantClaims;
}

function sentOf(request: IncomingMessage, bytes: Buffer): Sent {
  const { headers } = request;
  const grant = grantOf(request);
  const tail = grant.tail ?? 0;
  return {
    grant,
    fields: sectionFromWire((name) => headers[name] as string | undefined),
    body: bytes.toString("latin1", 0, bytes.length - tail),
    tail,
  };
}

/** A target's answer, as a node passes it on. */
export function targets(body: string, status = 200): Answer {
  return (_request, response, { grant }) =>
    response
      .writeHead(200, {
        "Relay-Status": "target",
        "Relay-Envelope": "1",
        "Relay-Node": grant.aud,
        "Relay-Request-Id": grant.jti,
        ...Object.fromEntries(sectionToWire(encodeResponseSection({ status, reason: "", fields: [] }))),
      })
      .end(body);
}

/** A node's typed failure. @param node who says it; the node itself by default */
export function fails(error: RelayError, node?: string): Answer {
  return (_request, response, { grant }) => {
    const { status, headers, body } = problemResponse(error);
    response.writeHead(status, { ...Object.fromEntries(headers), "Relay-Node": node ?? grant.aud }).end(body);
  };
}

/** A page of something that stands before the node. */
export function page(status: number): Answer {
  return (_request, response) =>
    response.writeHead(status, { "Content-Type": "text/html" }).end(`<h1>${status}</h1>`);
}

/** The connection is reset once all of the request has come. */
export const resets: Answer = (request) => request.socket.destroy();
