import http from "node:http";
import type { AddressInfo } from "node:net";
import type { JWK } from "jose";
import {
  checkRequestFields,
  encodeResponseSection,
  sectionFromWire,
  sectionToWire,
} from "../../protocol/envelope.ts";
import { problemResponse, RelayError } from "../../protocol/errors.ts";
import { type Field, isStoppedResponseField } from "../../protocol/headers.ts";
import { generateClientKey, importPrivateKey, importPublicKey } from "../../protocol/keys.ts";
import type { ReceiptClaims } from "../../protocol/receipts.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { checkRequestClaims, type RequestClaims } from "../../protocol/claims.ts";
import { openTokenDesk, type TokenDesk } from "./token-desk.ts";
import { digestOf, readBearer, signToken, verifySignature } from "../../protocol/tokens.ts";

/** What the edge was asked for, its token proven. */
export interface Seen {
  readonly claims: RequestClaims;
  readonly fields: readonly Field[];
  readonly wire: http.IncomingHttpHeaders;
  /** The body, or what of it came before it was cut. */
  readonly body: Buffer;
  readonly cut: boolean;
}

/** Answers in the relay's place; the request's token is proven and its body read. */
export type Handler = (seen: Seen, response: http.ServerResponse) => void | Promise<void>;

/** An edge and a node in one: it proves tokens, then makes the call by plain http, or lets a handler answer. */
export interface FakeEdge {
  /** What HOLDFAST_URL would hold. */
  readonly url: string;
  /** The same for a client without a key. */
  readonly keylessUrl: string;
  readonly desk: TokenDesk;
  readonly origin: string;
  readonly seen: Seen[];
  /** How many answers' connections the client closed before they ended. */
  readonly closedEarly: () => number;
  /** What egress.json lists as the nodes' keys, how often it was asked for, and how long an answer takes. */
  readonly published: { nodes: unknown; asked: number; status: number; delayMs: number };
  /** A receipt of the edge's own node for a call, with claims changed. */
  readonly receipt: (claims: RequestClaims, changes?: Partial<ReceiptClaims>) => Promise<string>;
  /** A new key for the node, and its public half: what was signed before and is published is the old one's. */
  readonly rotate: () => Promise<JWK>;
  /** Takes the next request. */
  readonly next: (handler: Handler) => void;
  /** Puts every answer's fields in front of its body, as the edge does with large ones. */
  fieldsInBody: boolean;
  /** Forgets what was seen, and handlers that were never reached: a call that is aborted may not have been sent. */
  readonly reset: () => void;
  readonly close: () => Promise<void>;
}

const CLIENT_ID = "app";
const NODE = "node-a";

export async function startFakeEdge(alg: "Ed25519" | "ES256" = "Ed25519"): Promise<FakeEdge> {
  const { publicJwk, privateKey } = await generateClientKey(alg);
  const publicKey = await importPublicKey(publicJwk);
  const handlers: Handler[] = [];
  const used = new Set<string>();
  let closedEarly = 0;
  let nodeKey = await generateClientKey();

  const desk = await openTokenDesk(() => origin);

  const server = http.createServer({ maxHeaderSize: 262_144 }, (request, response) => {
    if (request.url === "/token") return void desk.answer(request, response);
    if (request.url === "/.well-known/egress.json") {
      const { status, nodes, delayMs } = edge.published;
      edge.published.asked += 1;
      setTimeout(() => response.writeHead(status).end(JSON.stringify({ nodes })), delayMs);
      return;
    }
    response.on("close", () => {
      if (!response.writableFinished) closedEarly += 1;
    });
    serve(request, response).catch((cause: unknown) => {
      const error = cause instanceof RelayError ? cause : new RelayError("edge_internal", String(cause));
      sendError(response, error);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin: string = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const prove = async (request: http.IncomingMessage): Promise<RequestClaims> => {
    if (request.method !== "POST" || request.url !== "/fetch") {
      throw new RelayError("not_found", "not POST /fetch");
    }
    if (request.headers["relay-envelope"] !== "1") throw new RelayError("request_invalid", "no envelope");
    const bearer = readBearer("request", request.headers["relay-authorization"] as string | undefined);
    const claims = checkRequestClaims(bearer.claims, origin, Date.now() / 1000);
    await verifySignature(bearer, [(await desk.keyOf(bearer.token)) ?? publicKey]);
    if (claims.iss !== CLIENT_ID) throw new RelayError("client_unknown", "no such client");
    if (used.has(claims.jti)) throw new RelayError("token_replayed", "used before");
    used.add(claims.jti);
    parseTargetUrl(claims.url);
    return claims;
  };

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const claims = await prove(request);
    const fields = sectionFromWire((name) => request.headers[name] as string | undefined);
    checkRequestFields(fields);
    const { body, cut } = await readAll(request);
    const seen: Seen = { claims, fields, wire: request.headers, body, cut };
    edge.seen.push(seen);
    if (cut) return;
    await checkBody(seen);
    const receipt = claims.receipt === true ? await edge.receipt(claims) : undefined;
    const handler =
      handlers.shift() ?? ((): Promise<void> => forward(seen, response, edge.fieldsInBody, receipt));
    await handler(seen, response);
  };

  const edge: FakeEdge = {
    url: origin.replace("//", `//${CLIENT_ID}:${privateKey}@`),
    keylessUrl: origin.replace("//", `//${CLIENT_ID}@`),
    desk,
    origin,
    seen: [],
    published: { nodes: [{ id: NODE, key: nodeKey.publicJwk }], asked: 0, status: 200, delayMs: 0 },
    receipt: async ({ jti, htm, url }, changes) =>
      signToken(
        "receipt",
        {
          iss: NODE,
          aud: origin,
          sub: CLIENT_ID,
          jti,
          iat: 1_767_225_600,
          htm,
          target: new URL(url).host,
          egress: "203.0.113.7",
          dialed: "192.0.2.80",
          tls: null,
          status: 200,
          bytes_up: 0,
          bytes_down: null,
          ...changes,
        },
        await importPrivateKey(nodeKey.privateKey),
        NODE,
      ),
    rotate: async () => {
      nodeKey = await generateClientKey();
      return nodeKey.publicJwk;
    },
    closedEarly: () => closedEarly,
    next: (handler) => void handlers.push(handler),
    fieldsInBody: false,
    reset: () => {
      edge.seen.length = 0;
      handlers.length = 0;
      edge.fieldsInBody = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return edge;
}

/** Writes a target's answer as the edge does. */
export function writeHead(
  response: http.ServerResponse,
  head: { status: number; reason?: string; fields?: readonly Field[] },
  { inBody = false, more = {} }: { inBody?: boolean; more?: Record<string, string> } = {},
): void {
  const section = encodeResponseSection({
    status: head.status,
    reason: head.reason ?? "",
    fields: head.fields ?? [],
  });
  const asBody = inBody || section.length > 8_192;
  response.writeHead(200, {
    "Relay-Status": "target",
    "Relay-Envelope": asBody ? `1; body=${section.length}` : "1",
    "Relay-Node": "node-a",
    "Relay-Egress": "203.0.113.7",
    "Relay-Timing": "edge;dur=1.2, dns;dur=0.4, connect;dur=12",
    ...more,
    ...(!asBody && Object.fromEntries(sectionToWire(section))),
  });
  if (asBody) response.write(section);
}

export function sendError(response: http.ServerResponse, error: RelayError): void {
  if (response.headersSent) return void response.destroy();
  const { status, headers, body } = problemResponse(error);
  response.writeHead(status, Object.fromEntries(headers));
  response.end(body);
}

async function readAll(request: http.IncomingMessage): Promise<{ body: Buffer; cut: boolean }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return { body: Buffer.concat(chunks), cut: false };
  } catch {
    return { body: Buffer.concat(chunks), cut: true };
  }
}

async function checkBody({ claims, body, wire }: Seen): Promise<void> {
  const { framing, digest } = claims;
  if (framing === undefined) throw new RelayError("token_framing", "the envelope needs a framing claim");
  if (framing === "none" && body.length > 0) {
    throw new RelayError("token_framing", "a body came where none was signed");
  }
  if (typeof framing === "number" && framing !== body.length) {
    throw new RelayError("token_framing", "another length came");
  }
  if (framing === "chunked" && wire["transfer-encoding"] !== "chunked") {
    throw new RelayError("token_framing", "not chunked");
  }
  if (digest !== undefined && digest !== (await digestOf(new Uint8Array(body)))) {
    throw new RelayError("body_digest", "the digests differ");
  }
}

/** Makes the call by plain http with the framing that was signed. */
function forward(
  { claims, fields, body }: Seen,
  response: http.ServerResponse,
  inBody: boolean,
  receipt: string | undefined,
): Promise<void> {
  const { host, port, path, authority } = parseTargetUrl(claims.url);
  const framing: Field[] =
    claims.framing === "chunked"
      ? [["Transfer-Encoding", "chunked"]]
      : claims.framing === "none"
        ? []
        : [["Content-Length", String(claims.framing)]];
  const headers = [["Host", authority], ...fields, ...framing].flat();
  return new Promise((resolve, reject) => {
    const call = http.request({ host, port, path, method: claims.htm, headers, agent: false }, (answer) => {
      const answerFields: Field[] = [];
      for (let i = 0; i < answer.rawHeaders.length; i += 2) {
        const field: Field = [answer.rawHeaders[i]!, answer.rawHeaders[i + 1]!];
        if (!isStoppedResponseField(field[0].toLowerCase(), new Set())) answerFields.push(field);
      }
      const more = {
        "Relay-Request-Id": claims.jti,
        ...(receipt !== undefined && { "Relay-Receipt": receipt }),
      };
      const head = { status: answer.statusCode!, reason: answer.statusMessage ?? "", fields: answerFields };
      writeHead(response, head, { inBody, more });
      response.flushHeaders();
      answer.pipe(response);
      answer.on("error", () => response.destroy());
      response.on("close", () => call.destroy());
      resolve();
    });
    call.on("error", (cause) => {
      if (response.headersSent) response.destroy();
      else {
        reject(
          new RelayError("connect_refused", "the target refused", {
            cause,
            requestId: claims.jti,
            node: "node-a",
          }),
        );
      }
    });
    call.end(body);
  });
}
