import { calculateJwkThumbprint } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/index.ts";
import type { GrantClaims, GrantSource } from "../../protocol/grants.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { askEdge } from "../support/asking-node.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import { requestToken } from "../support/raw-caller.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";

/** What a grant says of what it goes back to, at each door. */

const DB = "tcp://db.example.com:5432";
const SRV = "mongodb+srv://cluster.shop.example.com";
const ALLOW = [DB, "https://api.example.com", "tcp://*.shop.example.com:27017"];
let pool: FakePool;
let grants: GrantClaims[] = [];
/** By the names of the client's two keys. */
const urls = new Map<string, string>();
const thumbprints = new Map<string, string>();

beforeAll(async () => {
  pool = await startFakePool(1, ALLOW);
  const [node] = pool.nodes;
  node!.upgrade = takesStream((_socket, grant) => void grants.push(grant));
  const keys = [await generateClientKey("Ed25519"), await generateClientKey("ES256")];
  for (const [i, { publicJwk, privateKey }] of keys.entries()) {
    const name = ["first", "second"][i]!;
    urls.set(name, pool.edge.replace("//", `//shop:${privateKey}@`));
    thumbprints.set(name, await calculateJwkThumbprint(publicJwk));
  }
  const body = { id: "shop", keys: keys.map(({ publicJwk }) => publicJwk), allow: ALLOW };
  await adminCall(pool.operator, "PUT", "/admin/clients/shop", { body });
});
afterAll(() => pool.stop());

const decoded = (token: string) =>
  JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as GrantClaims & { jti: string };

const scopeToken = (relayUrl: string, act: "stream" | "proxy") =>
  createScopeToken(relayUrl, { act, allow: ALLOW, ttlSeconds: 600 });

async function newHandle(token: string): Promise<{ id: string; handle: string }> {
  const { value } = await adminCall(pool.operator, "POST", "/admin/handles", { body: { token } });
  return value as { id: string; handle: string };
}

/** The grant of the one stream that is opened. */
async function opened(path: string, headers: Record<string, string> = {}): Promise<GrantSource> {
  grants = [];
  const { socket } = await openSocket(pool.edge, { path, headers });
  socket!.close();
  return grants[0]!;
}

async function post(path: string, token: string): Promise<Response> {
  return fetch(`${pool.edge}${path}`, {
    method: "POST",
    headers: { "Relay-Authorization": `Bearer ${token}` },
  });
}

/** Each asks with one key, and tells the grant and what its `cred` has to be. */
const DOORS: readonly [
  door: string,
  ask: (relayUrl: string) => Promise<{ readonly grant: GrantSource; readonly cred?: string }>,
][] = [
  [
    "a fetch",
    async (relayUrl) => {
      const claims = { htm: "GET", url: "https://api.example.com/", framing: "none" } as const;
      const token = await requestToken(relayUrl, claims);
      await fetch(`${pool.edge}/fetch`, { headers: { "Relay-Authorization": `Bearer ${token}` } });
      return { grant: pool.nodes[0]!.sent.at(-1)!.grant };
    },
  ],
  [
    "a stream",
    async (relayUrl) => {
      const token = await streamToken(relayUrl, DB);
      return { grant: await opened("/stream", { "Relay-Authorization": `Bearer ${token}` }) };
    },
  ],
  [
    "a stream that goes to the node itself",
    async (relayUrl) => {
      const answer = await post("/grants", await streamToken(relayUrl, DB));
      const said = (await answer.json()) as { grants: { grant: string }[] };
      return { grant: decoded(said.grants[0]!.grant) };
    },
  ],
  [
    "a seed list",
    async (relayUrl) => {
      const claims = { act: "resolve", htm: "POST", url: SRV, framing: "none" } as const;
      await (await post("/resolve", await requestToken(relayUrl, claims))).text();
      return { grant: pool.nodes[0]!.sent.at(-1)!.grant };
    },
  ],
  [
    "a stream by a scope token",
    async (relayUrl) => {
      const token = await scopeToken(relayUrl, "stream");
      return {
        grant: await opened(`/stream/${token}?address=db.example.com:5432`),
        cred: decoded(token).jti,
      };
    },
  ],
  [
    "a stream by a handle",
    async (relayUrl) => {
      const { id, handle } = await newHandle(await scopeToken(relayUrl, "stream"));
      return { grant: await opened(`/stream/${handle}?address=db.example.com:5432`), cred: id };
    },
  ],
  [
    "a proxy's user by a scope token",
    async (relayUrl) => {
      const credential = await scopeToken(relayUrl, "proxy");
      return {
        grant: (await askEdge(pool, { credential, target: DB })).grant!,
        cred: decoded(credential).jti,
      };
    },
  ],
  [
    "a proxy's user by a handle",
    async (relayUrl) => {
      const { id, handle } = await newHandle(await scopeToken(relayUrl, "proxy"));
      return { grant: (await askEdge(pool, { credential: handle, target: DB })).grant!, cred: id };
    },
  ],
];

test.each(DOORS)(
  "%s: the grant names the key that signed, and what is good for longer",
  async (_door, ask) => {
    for (const name of ["first", "second"]) {
      const { grant, cred } = await ask(urls.get(name)!);
      expect([grant.key, grant.cred]).toEqual([thumbprints.get(name), cred]);
    }
  },
);
