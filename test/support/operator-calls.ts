import { calculateJwkThumbprint } from "jose";
import { adminCall, type Operator } from "../../client/admin.ts";
import { errorFromProblem } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import type { AuditEntry } from "../../worker/audit.ts";
import { nodeMessage } from "./asking-node.ts";
import type { FakePool } from "./fake-pool.ts";

/** A client that a test made. */
export interface MadeClient {
  readonly id: string;
  readonly publicJwk: object;
  readonly relayUrl: string;
}

/** Registers a client with a key of its own. */
export async function addClient(
  { edge, keyId, key }: Operator,
  id: string,
  more: object = {},
): Promise<MadeClient> {
  const { publicJwk, privateKey } = await generateClientKey();
  const body = { id, keys: [publicJwk], allow: [], ...more };
  await adminCall({ edge, keyId, key }, "PUT", `/admin/clients/${id}`, { body });
  return { id, publicJwk, relayUrl: edge.replace("//", `//${id}:${privateKey}@`) };
}

/** The changes of one client, the newest first. */
export async function auditOf(operator: Operator, client: string): Promise<AuditEntry[]> {
  const { value } = await adminCall(operator, "GET", `/admin/audit?client=${client}`);
  return (value as { entries: AuditEntry[] }).entries;
}

/** A page of revocations. */
export interface Feed {
  readonly next: number;
  readonly entries: readonly {
    readonly seq: number;
    readonly at: number;
    readonly kind: string;
    readonly client: string;
    readonly id: string;
  }[];
}

/** Every revocation that is kept, oldest first. */
export async function allRevocations(pool: Pick<FakePool, "edge" | "keys">): Promise<Feed["entries"]> {
  const entries: Feed["entries"][number][] = [];
  for (let after = 0; ;) {
    const page = await askRevocations(pool, after);
    if (page.entries.length === 0) return entries;
    entries.push(...page.entries);
    after = page.next;
  }
}

/** Asks an edge for revocations, by default as a node of the pool does. */
export async function askRevocations(
  pool: Pick<FakePool, "edge" | "keys">,
  after?: number | string,
  authorization?: string | null,
): Promise<Feed> {
  const signed =
    authorization === undefined ? await nodeMessage(pool, "", { act: "revocations" }) : authorization;
  const query = after === undefined ? "" : `?after=${after}`;
  const answer = await fetch(`${pool.edge}/revocations${query}`, {
    headers: signed === null ? {} : { "Relay-Authorization": signed },
  });
  const text = await answer.text();
  const code = answer.headers.get("relay-error");
  if (code !== null) throw errorFromProblem(code, text, answer.headers);
  return JSON.parse(text) as Feed;
}

/** What names a key, where the registry tells of it. */
export const thumbprintOf = (jwk: object): Promise<string> => calculateJwkThumbprint(jwk);
