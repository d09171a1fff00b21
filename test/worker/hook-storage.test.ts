import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { countsOf, putRoute } from "../support/hook-routes.ts";
import { openRegistry } from "../support/registry-file.ts";

/** What can't be read or written is never taken: the provider is told to come again. */

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, ["https://internal.example.com"]);
});
afterAll(() => pool.stop());

async function codeOf(id: string, body = "x"): Promise<[number, string | null]> {
  const answer = await fetch(`${pool.edge}/hooks/${id}`, { method: "POST", body });
  await answer.body?.cancel();
  return [answer.status, answer.headers.get("relay-error")];
}

/** Changes what is stored of a route. */
async function change(id: string, edit: (record: { [member: string]: unknown }) => void): Promise<void> {
  await pool.restartEdge(undefined, (storage) => {
    const registry = openRegistry(storage);
    const { record } = registry.prepare("SELECT record FROM routes WHERE id = ?").get(id) as {
      record: string;
    };
    const edited = JSON.parse(record) as { [member: string]: unknown };
    edit(edited);
    registry.prepare("UPDATE routes SET record = ? WHERE id = ?").run(JSON.stringify(edited), id);
    registry.close();
  });
}

test("a route whose record can't be read answers 503", async () => {
  await putRoute(pool.operator, { id: "later" });
  expect(await codeOf("later")).toEqual([202, null]);
  await change("later", (record) => (record["verifier"] = { type: "later" }));
  expect(await codeOf("later")).toEqual([503, "route_unreadable"]);
  expect(await countsOf(pool.operator, "later")).toMatchObject({ accepted: 1 });
});

test("a secret that was moved from another route can't be opened", async () => {
  for (const id of ["one", "other"]) {
    await putRoute(pool.operator, { id, verifier: { type: "github", secrets: [`secret of ${id}`] } });
  }
  let moved: unknown;
  await change("other", (record) => (moved = record["verifier"]));
  await change("one", (record) => (record["verifier"] = moved));
  expect(await codeOf("one")).toEqual([503, "route_unreadable"]);
  expect(pool.log()).toContain(
    "the record of the route one can't be read (it was changed, or stands elsewhere)",
  );
  expect(await codeOf("other")).toEqual([401, "hook_signature"]);
});

test("a store that doesn't answer is not taken for one that stored", async () => {
  await putRoute(pool.operator, { id: "stored", order: "all" });
  expect(await codeOf("stored")).toEqual([202, null]);
  const taken: [string, string][] = [];
  // Where a store's database was there is a folder.
  await pool.restartEdge(undefined, (storage) => {
    for (const file of readdirSync(storage, { recursive: true, encoding: "utf8" })) {
      if (!/Deliveries.*[0-9a-f]{64}\.sqlite/i.test(file)) continue;
      const [at, aside] = [join(storage, file), join(storage, `${file.replaceAll("/", "-")}.aside`)];
      renameSync(at, aside);
      taken.push([at, aside]);
      mkdirSync(at);
    }
  });
  expect(taken).not.toEqual([]);
  for (const body of ["x", "x".repeat(600_000)]) {
    expect(await codeOf("stored", body)).toEqual([503, "storage_unavailable"]);
  }
  await pool.restartEdge(undefined, () => {
    for (const [at, aside] of taken) {
      rmSync(at, { recursive: true });
      renameSync(aside, at);
    }
  });
  expect(await codeOf("stored")).toEqual([202, null]);
  expect(await countsOf(pool.operator, "stored")).toMatchObject({ accepted: 2 });
});
