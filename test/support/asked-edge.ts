import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";
import type { JWK } from "jose";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { GrantVerifier } from "../../protocol/grants.ts";
import { importPublicKey } from "../../protocol/keys.ts";
import { REVOCATIONS_PAGE_MAX } from "../../protocol/limits.ts";
import { type EdgeAct, verifyNodeMessage } from "../../protocol/node-messages.ts";
import type { ProxyGrantClaims, ProxyQuestion } from "../../protocol/proxy-grants.ts";
import type { Revocation } from "../../protocol/revocations.ts";
import { digestOf, newRequestId, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { EdgeClient } from "../../relay-node/edge-client.ts";
import { grantVerifier } from "../../relay-node/grant-verifier.ts";
import { compact, hmac, type Signer } from "./compact-jws.ts";
import { sendError } from "./fake-edge.ts";
import { freePort } from "./stack.ts";

/** Answers a question; it may throw a RelayError. */
export type Answer = (question: ProxyQuestion, response: ServerResponse) => void | Promise<void>;

/** An edge of the test's own that a node asks who may use its proxy, and what was revoked. */
export interface AskedEdge {
  readonly origin: string;
  /** What a node that asks it is made of. */
  readonly node: {
    readonly id: string;
    readonly signingKey: JWK;
    readonly grantKeys: readonly GrantVerifier[];
  };
  readonly secureContext: SecureContext;
  /** What the node asks it by. */
  newClient(answerMs?: number): EdgeClient;
  /** What was revoked, oldest first. */
  readonly revoked: Revocation[];
  /** After what it was asked for them, by a node that was proven. */
  readonly askedAfter: (string | null)[];
  /** Answers in the place of the revocations, until it is undefined. */
  answerRevocations: ((response: ServerResponse) => void) | undefined;
  /** Questions that came, from a node that was proven. */
  readonly asked: ProxyQuestion[];
  /** Empties `asked`: what is under way on connections that stand doesn't count any more. */
  forget(): void;
  /** Connections that were made to it. */
  readonly connections: () => number;
  /** Its clock, in milliseconds since 1970. */
  now: () => number;
  answer: Answer;
  /** At first, everybody is granted everything. */
  readonly grantAll: Answer;
  /** Answers with a grant whose claims are changed. */
  readonly grantWith: (changes: Readonly<Record<string, unknown>>, signer?: Signer) => Answer;
  listen(): Promise<void>;
  /** Stops listening, and breaks what is open. */
  away(): Promise<void>;
}

const ACTS: Readonly<Record<string, EdgeAct>> = {
  "POST /authorize": "authorize",
  "GET /revocations": "revocations",
};

/** Answers with a page of revocations, as the edge does. */
export function answerPage(
  response: ServerResponse,
  revoked: readonly Revocation[],
  after: string | null,
): void {
  const entries = revoked.filter(({ seq }) => seq > Number(after)).slice(0, REVOCATIONS_PAGE_MAX);
  const next = entries.at(-1)?.seq ?? Number(after);
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ next, entries }));
}

/** Answers with an error, as the edge writes it. */
export const refuse =
  (...error: ConstructorParameters<typeof RelayError>): Answer =>
  () => {
    throw new RelayError(...error);
  };

/** Whose a credential is: a token's issuer, or `app`. */
function ownerOf({ user, credential }: ProxyQuestion): string {
  if (user !== undefined || !credential.includes(".")) return user ?? "app";
  const claims = JSON.parse(Buffer.from(credential.split(".")[1]!, "base64url").toString()) as {
    iss: string;
  };
  return claims.iss;
}

export async function startAskedEdge(): Promise<AskedEdge> {
  const ca = await createCa("Edge test CA");
  const port = await freePort();
  const { privateKey } = generateKeyPairSync("ed25519");
  const publicKey = await importPublicKey(createPublicKey(privateKey).export({ format: "jwk" }) as JWK);
  const grantKey = randomBytes(32);
  const origin = `https://localhost:${port}`;
  const secureContext = createSecureContext({ ca: ca.cert });
  let connections = 0;
  /** Those whose questions count. */
  let current = new WeakSet<Socket>();

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Uint8Array.from(Buffer.concat(chunks));
    const { pathname, searchParams } = new URL(request.url!, origin);
    const act = ACTS[`${request.method} ${pathname}`];
    if (act === undefined) throw new RelayError("not_found", "no such route");
    const { digest } = await verifyNodeMessage(request.headers["relay-authorization"] as string, {
      audience: origin,
      nodes: new Map([["node-1", publicKey]]),
      act,
      now: edge.now() / 1_000,
    });
    if (digest !== (await digestOf(body))) throw new RelayError("body_digest", "another body");
    if (act === "revocations") {
      const after = searchParams.get("after");
      edge.askedAfter.push(after);
      if (edge.answerRevocations === undefined) answerPage(response, edge.revoked, after);
      else edge.answerRevocations(response);
      return;
    }
    const question = JSON.parse(Buffer.from(body).toString()) as ProxyQuestion;
    if (current.has(request.socket)) edge.asked.push(question);
    await edge.answer(question, response);
  };
  const server = createServer(await issueCertificate(ca, { dns: ["localhost"] }), (request, response) => {
    serve(request, response).catch((cause: unknown) => {
      sendError(response, isRelayError(cause) ? cause : new RelayError("edge_internal", String(cause)));
    });
  });
  server.on("secureConnection", (socket: Socket) => {
    connections += 1;
    current.add(socket);
  });

  const grantWith: AskedEdge["grantWith"] =
    (changes, signer = hmac(grantKey)) =>
    (question, response) => {
      const iat = Math.floor(edge.now() / 1_000);
      const claims: ProxyGrantClaims = {
        iss: origin,
        aud: "node-1",
        sub: ownerOf(question),
        act: "proxy",
        iat,
        exp: iat + 300,
        jti: newRequestId(),
        target: question.target,
        ...changes,
      };
      const grant = compact({ alg: "HS256", typ: TOKEN_TYPES.grant }, claims, signer);
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ grant }));
    };
  const grantAll = grantWith({});
  const edge: AskedEdge = {
    origin,
    node: {
      id: "node-1",
      signingKey: privateKey.export({ format: "jwk" }) as JWK,
      grantKeys: [grantVerifier(grantKey)],
    },
    secureContext,
    newClient: (answerMs) =>
      new EdgeClient({
        edge: origin,
        ...edge.node,
        secureContext,
        ...(answerMs !== undefined && { answerMs }),
      }),
    revoked: [],
    askedAfter: [],
    answerRevocations: undefined,
    asked: [],
    forget() {
      edge.asked.length = 0;
      current = new WeakSet();
    },
    connections: () => connections,
    now: Date.now,
    answer: grantAll,
    grantAll,
    grantWith,
    listen: () => new Promise((done) => server.listen(port, "127.0.0.1", done)),
    away: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
  await edge.listen();
  return edge;
}
