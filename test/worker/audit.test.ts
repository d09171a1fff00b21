import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/index.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { ADMIN_PAGE_MAX, AUDIT_ROWS_MAX } from "../../worker/limits.ts";
import { recordChanges } from "../../worker/record-changes.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { addClient, auditOf, thumbprintOf } from "../support/operator-calls.ts";
import { openRegistry } from "../support/registry-file.ts";

const DB = "tcp://db.example.com:5432";
let pool: FakePool;

beforeAll(async () => {
  pool = await startFakePool(1, [DB]);
});
afterAll(() => pool.stop());

const call = (method: "GET" | "PUT" | "POST" | "DELETE", path: string, body?: unknown, ifMatch?: string) =>
  adminCall(pool.operator, method, path, { body, ifMatch });
const get = async (path: string) => (await call("GET", path)).value;

describe("every change is written down", () => {
  test("with who, when and what, the newest first", async () => {
    const path = "/admin/clients/shop";
    const { publicJwk: one, relayUrl } = await addClient(pool.operator, "shop", {
      allow: [DB, "https://a.test"],
      limits: { streams: 5 },
    });
    const { publicJwk: two } = await generateClientKey();
    const token = await createScopeToken(relayUrl, { act: "stream", allow: [DB], ttlSeconds: 60 });
    const { id } = (await call("POST", "/admin/handles", { token })).value as { id: string };
    await call("DELETE", `/admin/handles/${id}`);
    const next = {
      id: "shop",
      keys: [{ ...one, exp: 4_000_000_000 }, two],
      allow: [DB, "https://b.test"],
      pool: ["node-1"],
      limits: { streams: 7 },
    };
    await call("PUT", path, next, '"1"');
    await expect(call("PUT", path, next, '"1"')).rejects.toMatchObject({ code: "version_conflict" });
    await call("DELETE", path, undefined, '"2"');

    const rows = await auditOf(pool.operator, "shop");
    expect(rows.map(({ action, subject, version }) => [action, subject, version])).toEqual([
      ["client.remove", "shop", null],
      ["client.update", "shop", 2],
      ["handle.revoke", id, null],
      ["handle.add", id, null],
      ["client.add", "shop", 1],
    ]);
    for (const { by, at, client } of rows) {
      expect([by, client]).toEqual(["operator", "shop"]);
      expect(Math.abs(at - Date.now() / 1_000)).toBeLessThan(30);
    }
    const [keyOne, keyTwo] = [await thumbprintOf(one), await thumbprintOf(two)];
    expect(rows[1]!.detail).toEqual({
      allow: { added: ["https://b.test"], removed: ["https://a.test"] },
      keys: { added: [keyTwo], exp: { [keyOne]: 4_000_000_000 } },
      pool: { before: null, after: ["node-1"] },
      limits: { before: { streams: 5 }, after: { streams: 7 } },
    });
    expect(rows[3]!.detail).toMatchObject({ act: "stream", allow: [DB], key: keyOne });
    expect(rows[4]!.detail).toEqual({
      allow: { added: [DB, "https://a.test"] },
      keys: { added: [keyOne] },
      limits: { before: null, after: { streams: 5 } },
    });
    expect(JSON.stringify(rows)).not.toContain(token.split(".")[2]);
  });

  test("and read back page by page", async () => {
    await addClient(pool.operator, "paged");
    for (let i = 1; i <= 4; i++) {
      const record = { id: "paged", keys: [(await generateClientKey()).publicJwk], allow: [] };
      await call("PUT", "/admin/clients/paged", record, `"${i}"`);
    }
    const versions: unknown[] = [];
    for (let query = "client=paged&limit=2"; ;) {
      const page = (await get(`/admin/audit?${query}`)) as {
        entries: { version: number }[];
        next: number | null;
      };
      versions.push(page.entries.map(({ version }) => version));
      if (page.next === null) break;
      query = `client=paged&limit=2&before=${page.next}`;
    }
    expect(versions).toEqual([[5, 4], [3, 2], [1]]);
    const all = (await get("/admin/audit?limit=3")) as { entries: { client: string }[] };
    expect(all.entries.map(({ client }) => client)).toEqual(["paged", "paged", "paged"]);
  });

  test("with what was forgotten of a client in report mode, where there was anything", async () => {
    await addClient(pool.operator, "learnt", { mode: "report" });
    await pool.restartEdge(undefined, (storage) => {
      const database = openRegistry(storage);
      for (const host of ["a.test", "b.test"]) {
        database.exec(`INSERT INTO observed VALUES ('learnt', 'tcp://${host}:1', '[]', 0, 1, 1, 1, 1)`);
      }
      database.exec("INSERT INTO observed_dropped VALUES ('learnt', 3)");
      database.close();
    });
    for (const _ of [1, 2]) await call("DELETE", "/admin/observed?client=learnt");
    const [newest, ...older] = await auditOf(pool.operator, "learnt");
    expect(newest).toMatchObject({
      by: "operator",
      action: "observed.clear",
      subject: "learnt",
      version: null,
      detail: { entries: 2, dropped: 3 },
    });
    expect(older.map(({ action }) => action)).toEqual(["client.add"]);
  });

  test("until there are too many: then the oldest go", async () => {
    await pool.restartEdge(undefined, (storage) => {
      const database = openRegistry(storage);
      database.exec(
        `INSERT INTO audit SELECT ${AUDIT_ROWS_MAX} + 1, at, by, action, client, subject, version, detail FROM audit WHERE seq = 1`,
      );
      database.close();
    });
    await addClient(pool.operator, "newest");
    const { entries } = (await get(`/admin/audit?before=${AUDIT_ROWS_MAX}`)) as {
      entries: { seq: number }[];
    };
    expect(entries.at(-1)!.seq).toBe(3);
  });
});

test("a record that can't be read refuses its own client alone, and can be replaced and removed", async () => {
  const { publicJwk } = await addClient(pool.operator, "whole");
  const broken = { keyless: '{"id":"keyless","allow":[]}', cut: '{"id":"cut",' };
  await pool.restartEdge(undefined, (storage) => {
    const database = openRegistry(storage);
    const insert = database.prepare("INSERT INTO clients VALUES (?, 1, ?)");
    for (const [id, record] of Object.entries(broken)) insert.run(id, record);
    database.close();
  });
  await expect(get("/admin/clients/whole")).resolves.toMatchObject({ id: "whole" });
  for (const id of Object.keys(broken)) {
    const path = `/admin/clients/${id}`;
    await call("PUT", path, { id, keys: [publicJwk], allow: [] }, '"1"');
    await expect(get(path)).resolves.toMatchObject({ id });
    await call("DELETE", path, undefined, '"2"');
    expect((await auditOf(pool.operator, id)).map(({ action }) => action)).toEqual([
      "client.remove",
      "client.update",
    ]);
  }
});

describe("lists", () => {
  test("clients by their ids, page by page", async () => {
    const ids = ["page-a", "page-b", "page-c"];
    await Promise.all(ids.toReversed().map((id) => addClient(pool.operator, id)));
    const first = await get("/admin/clients?after=page&limit=2");
    expect(first).toMatchObject({
      clients: [
        { version: 1, record: { id: "page-a" } },
        { version: 1, record: { id: "page-b" } },
      ],
      next: "page-b",
    });
    const all = (await get("/admin/clients")) as { clients: { record: { id: string } }[]; next: null };
    const listed = all.clients.map(({ record }) => record.id);
    expect(listed).toEqual(listed.toSorted());
    expect(listed).toEqual(expect.arrayContaining(["app", ...ids]));
    expect(all.next).toBeNull();
    expect(await get("/admin/clients?after=zzz")).toEqual({ clients: [], next: null });
  });

  test("a client's handles, without themselves", async () => {
    const { relayUrl, publicJwk } = await addClient(pool.operator, "handled");
    const make = async (ttlSeconds: number, age = 0) => {
      const now = () => Date.now() - age * 1_000;
      const token = await createScopeToken(relayUrl, { act: "proxy", allow: [DB], ttlSeconds, now });
      return (await call("POST", "/admin/handles", { token })).value as {
        id: string;
        handle: string;
        expires: number;
      };
    };
    const made = [await make(60), await make(600), await make(60, 30)].toSorted((a, b) =>
      a.id < b.id ? -1 : 1,
    );
    const first = (await get("/admin/handles?client=handled&limit=2")) as {
      handles: unknown[];
      next: string;
    };
    const key = await thumbprintOf(publicJwk);
    expect(first.handles).toEqual(
      made.slice(0, 2).map(({ id, expires }) => ({
        id,
        act: "proxy",
        allow: [DB],
        expires,
        key,
        token: expect.stringMatching(/^[\w-]{22}$/),
      })),
    );
    const second = (await get(`/admin/handles?client=handled&after=${first.next}`)) as { handles: unknown[] };
    expect(second.handles).toHaveLength(1);
    for (const { handle } of made) expect(JSON.stringify([first, second])).not.toContain(handle);
    expect(await get("/admin/handles?client=nobody")).toEqual({ handles: [], next: null });
  });

  test.each([
    ["/admin/clients?limit=0", "limit must be a number"],
    [`/admin/clients?limit=${ADMIN_PAGE_MAX + 1}`, "limit must be a number"],
    ["/admin/clients?limit=x", "limit must be a number"],
    ["/admin/clients?before=1", "before is not known here"],
    ["/admin/clients?after=", "after must have 1 to 256 characters"],
    [`/admin/clients?after=${"a".repeat(257)}`, "after must have 1 to 256 characters"],
    ["/admin/handles", "say whose"],
    ["/admin/handles?client=app&x=1&limit=0", "x is not known here; limit"],
    ["/admin/audit?before=0", "before must be the number"],
    ["/admin/audit?before=x", "before must be the number"],
    ["/admin/audit?after=1", "after is not known here"],
  ])("refuse %s", async (path, told) => {
    await expect(get(path)).rejects.toMatchObject({
      code: "request_invalid",
      detail: expect.stringContaining(told),
    });
  });

  test("a key that can't be imported is refused when it is written", async () => {
    for (const x of ["AA", undefined]) {
      const body = { id: "broken", keys: [{ kty: "OKP", crv: "Ed25519", x }], allow: [] };
      await expect(call("PUT", "/admin/clients/broken", body)).rejects.toMatchObject({
        code: "request_invalid",
      });
    }
  });
});

describe("what changed of a record", () => {
  const keys = [{ key: "k1", exp: null }];
  const record = (more: object = {}) => ({ id: "shop", keys: [], allow: ["https://a.test"], ...more });
  test.each([
    ["nothing", record(), record(), {}],
    [
      "a member that may be told",
      record(),
      record({ mode: "report" }),
      { mode: { before: null, after: "report" } },
    ],
    ["one that may hold a secret", record({ tls: { key: "s3cret" } }), record(), { others: ["tls"] }],
    ["a target", record(), record({ allow: [] }), { allow: { removed: ["https://a.test"] } }],
    ["the order of targets", record({ allow: ["a", "b"] }), record({ allow: ["b", "a"] }), {}],
  ])("%s", (_what, before, after, changes) => {
    expect(recordChanges({ record: before, keys }, { record: after, keys })).toEqual(changes);
  });

  test("a key's end that is taken back", () => {
    const before = { record: record(), keys: [{ key: "k1", exp: 5 }] };
    expect(recordChanges(before, { record: record(), keys })).toEqual({ keys: { exp: { k1: null } } });
  });
});
