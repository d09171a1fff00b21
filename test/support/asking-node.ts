import { errorFromProblem, type RelayError } from "../../protocol/errors.ts";
import { deriveGrantKey } from "../../protocol/grants.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { type NodeMessageAct, signNodeMessage } from "../../protocol/node-messages.ts";
import { type ProxyGrantClaims, type ProxyQuestion, verifyProxyGrant } from "../../protocol/proxy-grants.ts";
import type { UsageAnswer, UsageReport } from "../../protocol/usage.ts";
import { grantVerifier } from "../../relay-node/grant-verifier.ts";
import type { FakePool } from "./fake-pool.ts";

/** What an edge answered to a node's question. */
export type Answered =
  | { readonly grant: ProxyGrantClaims; readonly fields: Headers; readonly refused?: never }
  | { readonly grant?: never; readonly fields: Headers; readonly refused: RelayError };

/** How a question goes out; by default as a node of the pool asks. */
export interface Asking {
  readonly node?: string;
  /** The whole field, in place of the one that is signed here; null leaves it out. */
  readonly authorization?: string | null;
  /** What is sent in place of what was signed. */
  readonly body?: RequestInit["body"];
  readonly fields?: Readonly<Record<string, string>>;
}

const now = () => Math.floor(Date.now() / 1_000);

/** `Bearer` and a message of a node's to its edge. */
export async function nodeMessage(
  { edge, keys }: Pick<FakePool, "edge" | "keys">,
  body: string,
  {
    node = "node-1",
    signer = node,
    to = edge,
    act = "authorize",
    at = now(),
  }: Partial<Record<"node" | "signer" | "to", string> & { act: NodeMessageAct; at: number }> = {},
): Promise<string> {
  const key = await importPrivateKey(keys.nodeSigningKeys[signer]!.d!);
  const message = { from: node, to, act, body: new TextEncoder().encode(body) };
  return `Bearer ${await signNodeMessage(message, key, at)}`;
}

/** Tells an edge what a node has counted. */
export async function tellUsage(
  pool: Pick<FakePool, "edge" | "keys">,
  report: UsageReport | string,
  node = "node-1",
): Promise<{ readonly status: number; readonly code: string | null; readonly over: readonly string[] }> {
  const body = typeof report === "string" ? report : JSON.stringify(report);
  const answer = await fetch(`${pool.edge}/usage`, {
    method: "POST",
    headers: { "Relay-Authorization": await nodeMessage(pool, body, { node, act: "usage" }) },
    body,
  });
  const { over = [] } = (await answer.json()) as Partial<UsageAnswer>;
  return { status: answer.status, code: answer.headers.get("relay-error"), over };
}

/** Asks an edge about a user of a proxy; a grant is proven as its node proves it. */
export async function askEdge(
  pool: Pick<FakePool, "edge" | "keys">,
  question: ProxyQuestion | string,
  { node = "node-1", authorization, body, fields = {} }: Asking = {},
): Promise<Answered> {
  const text = typeof question === "string" ? question : JSON.stringify(question);
  const signed = authorization === undefined ? await nodeMessage(pool, text, { node }) : authorization;
  const answer = await fetch(`${pool.edge}/authorize`, {
    method: "POST",
    headers: { ...fields, ...(signed !== null && { "Relay-Authorization": signed }) },
    body: body ?? text,
    duplex: "half",
  } as RequestInit);
  const said = await answer.text();
  const code = answer.headers.get("relay-error");
  if (code !== null) {
    return { refused: errorFromProblem(code, said, answer.headers), fields: answer.headers };
  }
  const { grant, ...more } = JSON.parse(said) as { grant: string };
  if (Object.keys(more).length > 0) throw new Error(`the edge said more: ${said}`);
  const master = Uint8Array.from(Buffer.from(pool.keys.grantMasterKey, "base64url"));
  const claims = verifyProxyGrant(grant, {
    edge: pool.edge,
    nodeId: node,
    keys: [grantVerifier(await deriveGrantKey(master, node))],
    now: now(),
  });
  return { grant: claims, fields: answer.headers };
}
