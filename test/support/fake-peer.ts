import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { issueCertificate } from "../../dev/certificates.ts";
import { newRequestId, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { createHash } from "node:crypto";
import { compact, ed25519, type Signer } from "./compact-jws.ts";
import type { NodeIdentity } from "./node-process.ts";

/** What came to a peer. */
export interface Told {
  readonly path: string;
  readonly authorization: string;
  readonly body: string;
}

/** A node's peer that is a server of the test's. */
export interface FakePeer {
  readonly told: Told[];
  /** Connections that were made to it. */
  readonly connections: () => number;
  /** Used ids that it was told, as lines. */
  lines(): string[];
  /** How it answers; at first, 204 to ids and an empty memory to a reader. */
  answer: (told: Told, response: ServerResponse) => void;
  listen(): Promise<void>;
  /** Stops listening, and breaks what is open. */
  away(): Promise<void>;
}

/** The answer of a peer that knows these lines. */
export const memory =
  (lines: readonly string[], since: number | string = 0): FakePeer["answer"] =>
  ({ path }, response) => {
    if (path === "/consumed") response.writeHead(204).end();
    else response.end([`since ${since}`, ...lines, ""].join("\n"));
  };

/** @param ca what issues its certificate, in place of the identity's own */
export async function startFakePeer(
  { port, ca: own }: NodeIdentity,
  ca: NodeIdentity["ca"] = own,
): Promise<FakePeer> {
  const server = createServer(await issueCertificate(ca, { dns: ["localhost"] }), (request, response) => {
    void take(request, response);
  });
  let connections = 0;
  server.on("secureConnection", () => (connections += 1));
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const authorization = String(request.headers["relay-authorization"]);
    const told = { path: request.url!, authorization, body: Buffer.concat(chunks).toString("latin1") };
    peer.told.push(told);
    peer.answer(told, response);
  };
  const peer: FakePeer = {
    told: [],
    connections: () => connections,
    lines: () =>
      peer.told
        .filter(({ path }) => path === "/consumed")
        .flatMap(({ body }) => body.split("\n").filter((line) => line !== "")),
    answer: memory([]),
    listen: () => new Promise((done) => server.listen(port, "127.0.0.1", done)),
    away: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
  await peer.listen();
  return peer;
}

/** What is changed of a message that a node would take. */
export interface MessageChanges {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly signer?: Signer;
}

/** The token of a message from `node-2` to `node-1`. */
export function messageToken(
  { signingKey }: NodeIdentity,
  act: string,
  body: string,
  { claims, header, signer }: MessageChanges = {},
): string {
  const now = Math.floor(Date.now() / 1_000);
  const all = {
    iss: "node-2",
    aud: "node-1",
    act,
    iat: now,
    exp: now + 30,
    jti: newRequestId(),
    digest: `sha-256=:${createHash("sha256").update(body).digest("base64")}:`,
    ...claims,
  };
  return compact({ alg: "Ed25519", typ: TOKEN_TYPES.node, ...header }, all, signer ?? ed25519(signingKey));
}
