import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createScopeToken } from "../../client/index.ts";
import type { Stack } from "../../dev/stack.ts";
import { freePort, testStack } from "../support/stack.ts";
import { type LoopbackPostgres, startLoopbackPostgres } from "./support/servers/loopback-postgres.ts";

/**
 * Neon's driver as it is, in a worker, over an edge and nodes, to a PostgreSQL that admits the nodes' addresses alone. Of its options
 * `wsProxy` is set, and `useSecureWebSocket` to false, since a development edge is plain http.
 */
const ROOT = resolve(import.meta.dirname, "../..");
const EGRESS = ["127.0.0.2", "127.0.0.3"];

const WORKER = `
import { Client, neonConfig, Pool } from "@neondatabase/serverless";
export default {
  async fetch(request, env) {
    neonConfig.wsProxy = (host, port) => \`\${env.EDGE}/stream/\${env.TOKEN}?address=\${host}:\${port}\`;
    neonConfig.useSecureWebSocket = false;
    try {
      return Response.json(await cases[new URL(request.url).pathname.slice(1)](env));
    } catch (error) {
      return Response.json({ failed: String(error.message ?? error.type ?? error) });
    }
  },
};
const cases = {
  async address({ DATABASE_URL }) {
    const client = new Client(DATABASE_URL);
    await client.connect();
    const { rows } = await client.query("select host(inet_client_addr()) as address");
    await client.end();
    return rows;
  },
  async transaction({ DATABASE_URL }) {
    const pool = new Pool({ connectionString: DATABASE_URL });
    const client = await pool.connect();
    await client.query("create table if not exists notes (id serial primary key, note text)");
    await client.query("begin");
    for (const note of ["one", "two"]) await client.query("insert into notes (note) values ($1)", [note]);
    await client.query("commit");
    const { rows } = await client.query("select note from notes order by id");
    client.release();
    await pool.end();
    return rows;
  },
  async bulk({ DATABASE_URL }) {
    const client = new Client(DATABASE_URL);
    await client.connect();
    const sent = "x".repeat(3_000_000);
    const { rows } = await client.query("select length($1) as sent, repeat('y', 5000000) as got", [sent]);
    await client.end();
    return { sent: rows[0].sent, got: rows[0].got.length };
  },
  async elsewhere({ ELSEWHERE_URL }) {
    const client = new Client(ELSEWHERE_URL);
    client.on("error", () => {});
    await client.connect();
    return "connected";
  },
};`;

let stack: Stack;
let postgres: LoopbackPostgres;
let workerd: Miniflare;

beforeAll(async () => {
  const port = await freePort();
  const target = `tcp://127.0.0.1:${port}`;
  [postgres, stack] = await Promise.all([
    startLoopbackPostgres(port, EGRESS),
    testStack({ allow: [target] }),
  ]);
  const token = await createScopeToken(stack.relayUrl, { act: "stream", allow: [target], ttlSeconds: 3_600 });
  const bundle = await build({
    stdin: { contents: WORKER, resolveDir: ROOT, loader: "js" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    conditions: ["workerd"],
  });
  const text = (value: string) => ({ type: "text" as const, value });
  workerd = new Miniflare({
    workers: [
      {
        config: {
          name: "app",
          compatibilityDate: "2026-09-15",
          env: {
            EDGE: text(new URL(stack.edge).host),
            TOKEN: text(token),
            DATABASE_URL: text(postgres.url),
            ELSEWHERE_URL: text(postgres.url.replace(`:${port}/`, ":1/")),
          },
          manifest: {
            mainModule: "main.js",
            modulesRoot: "/",
            modules: { "main.js": { type: "esm", contents: bundle.outputFiles[0]!.text } },
          },
        },
      },
    ],
  });
  await workerd.ready;
});
afterAll(async () => {
  await workerd?.dispose();
  await Promise.allSettled([stack?.stop(), postgres?.stop()]);
});

const ask = async (path: string): Promise<unknown> =>
  (await workerd.dispatchFetch(`http://app/${path}`)).json();

test("a query leaves from a node's address", async () => {
  const [row] = (await ask("address")) as [{ address: string }];
  expect(EGRESS).toContain(row.address);
});

test("a pool runs a transaction", async () => {
  expect(await ask("transaction")).toEqual([{ note: "one" }, { note: "two" }]);
});

test("values of megabytes pass both ways", async () => {
  expect(await ask("bulk")).toEqual({ sent: 3_000_000, got: 5_000_000 });
});

test("a database that the token does not name is not connected to", async () => {
  expect(await ask("elsewhere")).toMatchObject({ failed: expect.any(String) });
});
