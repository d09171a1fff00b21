import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { checkRequestClaims, type RequestClaims } from "../../protocol/claims.ts";
import { isRelayError, problemResponse, RelayError } from "../../protocol/errors.ts";
import { newPass } from "../../protocol/grants.ts";
import { generateClientKey, importPublicKey } from "../../protocol/keys.ts";
import { readBearer, verifySignature } from "../../protocol/tokens.ts";
import type { GrantedNode } from "./node-here.ts";

/** A node as this edge knows it. */
export interface KnownNode extends Pick<GrantedNode, "id" | "port" | "ca" | "grant"> {
  /** Where clients are told that it is; where it listens if left out. */
  readonly url?: string;
}

/** An edge that gives grants for real nodes, and joins streams to them. */
export interface DirectEdge {
  /** What HOLDFAST_URL would hold. */
  readonly url: string;
  /** In the order in which they are named. */
  nodes: readonly KnownNode[];
  /** What was asked, in order, its token proven. */
  readonly seen: { readonly path: string; readonly claims: RequestClaims }[];
  /** In place of grants: a refusal, an answer's body, or with false nothing at all. */
  refuse: RelayError | string | false | undefined;
  /** Connections that came. */
  readonly connections: () => number;
  /** Questions that wait for an answer. */
  readonly waiting: () => number;
  /** Closes the connections that are kept. */
  readonly closeIdle: () => void;
  readonly close: () => Promise<void>;
}

const CLIENT_ID = "app";

export async function startDirectEdge(nodes: readonly KnownNode[]): Promise<DirectEdge> {
  const { publicJwk, privateKey } = await generateClientKey();
  const publicKey = await importPublicKey(publicJwk);
  let connections = 0;
  let waiting = 0;

  const prove = async ({ url, headers }: http.IncomingMessage): Promise<RequestClaims> => {
    const token = readBearer("request", headers["relay-authorization"]?.toString());
    const claims = checkRequestClaims(token.claims, origin, Date.now() / 1_000, "stream");
    await verifySignature(token, [publicKey]);
    edge.seen.push({ path: url!, claims });
    return claims;
  };
  /** As an edge does: those that the token names, or all. */
  const grantsOf = ({ jti, iat, url, resume, park, node }: RequestClaims) => {
    const pass = newPass();
    const named = [node ?? []].flat();
    return edge.nodes
      .filter(({ id }) => named.length === 0 || named.includes(id))
      .map((one, attempt) => ({
        node: one.id,
        url: one.url ?? `https://localhost:${one.port}`,
        grant: one.grant({
          claims: { act: "stream", jti, tat: iat, url, resume, park, pass, attempt, sub: CLIENT_ID },
        }),
        at: one,
      }));
  };

  const server = http.createServer((request, response) => {
    void (async () => {
      try {
        if (`${request.method} ${request.url}` !== "POST /grants") {
          throw new RelayError("not_found", "no such route");
        }
        if (edge.refuse === false) {
          waiting++;
          response.on("close", () => waiting--);
          return;
        }
        if (edge.refuse instanceof Error) throw edge.refuse;
        const claims = await prove(request);
        // What an agent asks for at its start, to be told whether its token is taken.
        if (claims.url.endsWith(".invalid:1")) throw new RelayError("target_not_allowed", "leads nowhere");
        const grants = grantsOf(claims).map(({ node, url, grant }) => ({ node, url, grant }));
        response.setHeader("Content-Type", "application/json");
        response.end(edge.refuse ?? JSON.stringify({ grants }));
      } catch (cause) {
        const { status, headers, body } = problemResponse(asRelayError(cause));
        response.writeHead(status, headers.flat()).end(body);
      }
    })();
  });
  server.on("connection", () => connections++);
  // What is given up by the client is told here, and is no matter to these tests.
  const sockets = new Set<Duplex>();
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    void (async () => {
      const claims = await prove(request);
      const [first] = grantsOf(claims);
      const further = connect({
        host: "127.0.0.1",
        port: first!.at.port,
        ca: first!.at.ca,
        servername: "localhost",
      });
      sockets.add(further);
      for (const end of [socket, further]) end.on("error", () => {});
      const lines = Object.entries({ ...request.headers, "relay-authorization": `Bearer ${first!.grant}` });
      further.write(
        `GET /stream HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${String(value)}\r\n`).join("")}\r\n`,
      );
      further.write(head);
      socket.on("close", () => further.destroy());
      further.on("close", () => socket.destroy());
      socket.pipe(further).pipe(socket);
    })();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const edge: DirectEdge = {
    url: origin.replace("//", `//${CLIENT_ID}:${privateKey}@`),
    nodes,
    seen: [],
    refuse: undefined,
    connections: () => connections,
    waiting: () => waiting,
    closeIdle: () => server.closeIdleConnections(),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return edge;
}

function asRelayError(cause: unknown): RelayError {
  return isRelayError(cause) ? cause : new RelayError("edge_internal", String(cause));
}
