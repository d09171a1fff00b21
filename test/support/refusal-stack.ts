import type { Stack } from "../../dev/stack.ts";
import { newRequestId, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { compact, ed25519, privateKeyOf, type Signer } from "./compact-jws.ts";
import { type CountingTarget, startCountingTarget } from "./counting-target.ts";
import { requestLines } from "./node-log.ts";
import { type RawAnswer, rawRequest, sendRaw } from "./raw-http.ts";
import { freePort, testStack } from "./stack.ts";
import { startWitness } from "./witness.ts";

/** What is changed of a request that would be relayed as it stands. */
export interface Changes {
  /** `undefined` takes a claim away. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly signer?: Signer;
  /** The whole Relay-Authorization field lines, in place of the one that is signed here. */
  readonly authorization?: readonly string[];
  /** Raw: method and fields stand on the wire. Enveloped: POST and Relay-Fields. */
  readonly form?: Form;
  readonly method?: string;
  readonly path?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
  /** Framing lines in place of a Content-Length of the body's. */
  readonly framing?: readonly string[];
}

export type Form = "enveloped" | "raw";

/** A stack with a target that counts, and a way to send it requests that are wrong in one thing. */
export interface RefusalStack {
  readonly stack: Stack;
  readonly target: CountingTarget;
  readonly targetUrl: string;
  /** Seconds since 1970. */
  now(): number;
  claims(changes?: Changes["claims"]): Record<string, unknown>;
  token(changes?: Changes): string;
  ask(changes?: Changes): Promise<RawAnswer | undefined>;
  /** Ids of requests that were refused to their caller and yet relayed, by a node's own log. */
  relayedAllTheSame(): string[];
  /** Whether every process runs. */
  isAlive(): boolean;
  stop(): Promise<void>;
}

/**
 * @param allow what the client may reach; `TARGET` in it stands for the counting target's origin
 * @param nodeConfig laid over the nodes' configuration; by default nobody is asked for a name, should one get that far
 */
export async function startRefusalStack(
  allow: readonly string[] = ["TARGET"],
  nodeConfig: Readonly<Record<string, unknown>> = { nameServers: ["127.0.0.1:1"] },
): Promise<RefusalStack> {
  // The target's certificate is made with the stack, whose client has to know the target's port.
  const targetUrl = `https://localhost:${await freePort()}`;
  // The edge is no witness here: it doesn't know its callers.
  const witness = await startWitness();
  const stack = await testStack({
    allow: allow.map((entry) => entry.replace("TARGET", targetUrl)),
    nodeConfig: { witnesses: [witness.url], ...nodeConfig },
    // A proxy in front that never tells an address: whatever fails here is charged to nobody.
    edgeVars: { CLIENT_ADDRESS_HEADER: "x-test-address" },
  });
  const target = await startCountingTarget({ tls: stack.keys, port: Number(new URL(targetUrl).port) });
  const signer = ed25519(privateKeyOf(stack.keys.client));
  const now = () => Math.floor(Date.now() / 1_000);
  const claims: RefusalStack["claims"] = (changes) => ({
    iss: "dev",
    aud: stack.edge,
    act: "fetch",
    iat: now(),
    exp: now() + 60,
    jti: newRequestId(),
    htm: "GET",
    url: `${targetUrl}/x`,
    ...changes,
  });
  const token: RefusalStack["token"] = (changes = {}) =>
    compact(
      { alg: "Ed25519", typ: TOKEN_TYPES.request, ...changes.header },
      claims(changes.claims),
      changes.signer ?? signer,
    );
  const refused = new Set<string>();
  return {
    stack,
    target,
    targetUrl,
    now,
    claims,
    token,
    async ask(changes = {}) {
      const { form = "enveloped", path = "/fetch", body, framing, fields = [] } = changes;
      const authorization = changes.authorization ?? [`Relay-Authorization: Bearer ${token(changes)}`];
      const htm = (changes.claims?.["htm"] as string | undefined) ?? "GET";
      const method = changes.method ?? (form === "raw" ? htm : "POST");
      const lines = [
        `Host: ${stack.edge.slice("http://".length)}`,
        "Connection: close",
        ...authorization,
        ...(form === "enveloped" ? ["Relay-Envelope: 1"] : []),
        ...fields,
        ...(framing ?? (body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body, "latin1")}`])),
      ];
      const edge = { port: Number(new URL(stack.edge).port) };
      const answer = await sendRaw(edge, rawRequest(`${method} ${path}`, lines, body));
      if (answer?.field("relay-error") !== undefined) refused.add(idOf(authorization));
      return answer;
    },
    relayedAllTheSame: () =>
      stack.nodes
        .flatMap(({ id }) => requestLines(stack.logs.node(id)))
        .flatMap(({ decision, jti }) => (decision === "relayed" && refused.has(jti!) ? [jti!] : [])),
    isAlive: () =>
      ["edge", ...stack.nodes.map(({ id }) => id)].every((id) => {
        const { exitCode, signalCode } = stack.process(id);
        return exitCode === null && signalCode === null;
      }),
    async stop() {
      await stack.stop();
      await Promise.all([target.close(), witness.close()]);
    },
  };
}

/** The id in a token, if there is one. */
function idOf(authorization: readonly string[]): string {
  const payload = authorization.join().split(".")[1] ?? "";
  return /"jti":"([^"]+)"/.exec(Buffer.from(payload, "base64url").toString())?.[1] ?? "none";
}
