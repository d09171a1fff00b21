import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { GrantLimits, GrantSource } from "../../protocol/grants.ts";
import type { ProxyQuestion } from "../../protocol/proxy-grants.ts";
import type { Revocation } from "../../protocol/revocations.ts";
import type { UsageReport } from "../../protocol/usage.ts";
import { answerPage } from "./asked-edge.ts";
import type { NodeBounds } from "../../relay-node/node.ts";
import { sendError } from "./fake-edge.ts";
import { type NodeHere, startNodeHere } from "./node-here.ts";
import { openRaw, parseAnswers, type RawAnswer, rawRequest, readRaw, sendRaw } from "./raw-http.ts";
import { freePort } from "./stack.ts";

/** What the edge of these tests knows a client by. */
export function handleOf(client: string): string {
  return `hf_${createHash("sha256").update(client).digest("base64url").slice(0, 32)}`;
}

/** The login of a client, as a line of a head. */
export function loginOf(client: string): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${client}:${handleOf(client)}`).toString("base64")}`;
}

export const LOGIN = loginOf("app");

/** How a client speaks to the proxy. */
export type Way = "http" | "https";

/** A node with a proxy door, and the small edge that it asks. */
export interface ProxyNode extends NodeHere {
  readonly ports: { readonly http: number; readonly https: number; readonly socks5: number };
  /** What the edge was asked. */
  readonly asked: ProxyQuestion[];
  /** What the edge was told of usage. */
  readonly reports: UsageReport[];
  /** Of whom it says that they are over their quota. */
  over: readonly string[];
  /** What the edge answers with, where it does not grant. */
  refuse: RelayError | undefined;
  /** What grants go back to from now on. */
  source: GrantSource;
  /** What was revoked, oldest first. */
  readonly revoked: Revocation[];
  /** What is granted of limits from now on; grants that are kept are as they were. */
  limits: GrantLimits | undefined;
  connect(way?: Way): Promise<Socket>;
  /** Sends bytes, and reads the first answer. */
  ask(bytes: string, way?: Way): Promise<RawAnswer | undefined>;
  /** Opens a tunnel; what came behind the answer is still to be read. */
  tunnel(url: string, options?: TunnelOptions): Promise<Socket>;
}

export interface TunnelOptions {
  readonly way?: Way;
  readonly login?: string;
  /** Sent in one piece with the request. */
  readonly early?: Buffer;
}

/** The line of a CONNECT to `tcp://host:port`, and its fields. */
export function connectRequest(url: string, fields: readonly string[] = [LOGIN]): string {
  const authority = url.slice("tcp://".length);
  return rawRequest(`CONNECT ${authority}`, [`Host: ${authority}`, ...fields]);
}

export async function startProxyNode(
  bounds?: Partial<NodeBounds>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<ProxyNode> {
  const asked: ProxyQuestion[] = [];
  const revoked: Revocation[] = [];
  const reports: UsageReport[] = [];
  const edge = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, origin);
    if (pathname === "/revocations") {
      return answerPage(response, revoked, searchParams.get("after"));
    }
    const isUsage = pathname === "/usage";
    if (pathname !== "/authorize" && !isUsage) {
      return sendError(response, new RelayError("not_found", "no such route"));
    }
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      if (isUsage) {
        reports.push(JSON.parse(text) as UsageReport);
        if (node.refuse !== undefined) sendError(response, node.refuse);
        else response.writeHead(200).end(JSON.stringify({ over: node.over }));
        return;
      }
      const question = JSON.parse(text) as ProxyQuestion;
      asked.push(question);
      try {
        if (node.refuse !== undefined) throw node.refuse;
        const { user = "app", credential, target } = question;
        if (credential !== handleOf(user)) throw new RelayError("handle_unknown", "no such handle");
        const now = Math.floor(Date.now() / 1_000);
        const { limits, source } = node;
        const times = { iat: now, exp: now + 300 };
        const claims = { iss: origin, sub: user, act: "proxy", ...times, target, limits, ...source };
        const grant = node.grant({ claims });
        response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ grant }));
      } catch (error) {
        sendError(response, isRelayError(error) ? error : new RelayError("edge_internal", String(error)));
      }
    });
  });
  await new Promise<void>((done) => edge.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(edge.address() as AddressInfo).port}`;
  const ports = { http: await freePort(), https: await freePort(), socks5: await freePort() };
  const listen = (port: number) => ({ host: "127.0.0.1", port });
  const proxy = {
    http: listen(ports.http),
    https: listen(ports.https),
    socks5: listen(ports.socks5),
  };
  const here = await startNodeHere(bounds, { edge: origin, proxy, ...config });
  const peer = (way: Way) => ({ port: ports[way], ...(way === "https" && { ca: here.ca }) });
  const node: ProxyNode = {
    ...here,
    ports,
    asked,
    reports,
    over: [],
    refuse: undefined,
    source: {},
    revoked,
    limits: undefined,
    connect: (way = "http") => openRaw(peer(way)),
    ask: (bytes, way = "http") => sendRaw(peer(way), bytes),
    async tunnel(url, { way = "http", login = LOGIN, early = Buffer.alloc(0) } = {}) {
      const socket = await openRaw(peer(way));
      socket.allowHalfOpen = true;
      socket.write(Buffer.concat([Buffer.from(connectRequest(url, [login])), early]));
      const head = await readHead(socket);
      if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`refused: ${head}`);
      return socket;
    },
    async stop() {
      await here.stop();
      edge.close();
      edge.closeAllConnections();
    },
  };
  return node;
}

/** Reads an answer's head; what is behind it stays in the socket, which is paused. */
export async function readHead(socket: Socket): Promise<string> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) return bytes.toString("latin1");
      await new Promise<void>((done) => {
        const go = () => {
          socket.off("readable", go).off("close", go).off("end", go);
          done();
        };
        socket.on("readable", go).on("close", go).on("end", go);
      });
      continue;
    }
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.indexOf("\r\n\r\n");
    if (end === -1) continue;
    const rest = bytes.subarray(end + 4);
    if (rest.length > 0) socket.unshift(rest);
    return bytes.subarray(0, end).toString("latin1");
  }
}

/** All answers on one connection to which these bytes were sent. */
export async function answersTo(socket: Socket, bytes: string): Promise<RawAnswer[]> {
  const reading = readRaw(socket);
  socket.write(Buffer.from(bytes, "latin1"));
  return parseAnswers(await reading);
}
