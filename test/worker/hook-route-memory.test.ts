import { expect, test } from "vitest";
import { readRoute } from "../../worker/hooks/route-record.ts";
import { RouteMemory } from "../../worker/hooks/route-memory.ts";
import { REGISTRY_CACHE_MS } from "../../worker/limits.ts";
import type { RouteRecord } from "../../worker/routes.ts";
import { Sealing } from "../../worker/sealing.ts";

const sealing = await Sealing.with([new Uint8Array(32)]);
const FORM = {
  id: "orders",
  client: "shop",
  target: "https://internal.example.com/",
  verifier: { type: "github", secrets: ["one"] },
};
const record = await readRoute(FORM, undefined, sealing);

/** A memory, and what it asks for. */
function remembering(sealed = sealing) {
  const memory = new RouteMemory();
  const made = { asked: 0, opened: 0 };
  const get = (now: number, stored: RouteRecord | null) =>
    memory.get(
      "orders",
      now,
      async () => {
        made.asked++;
        return stored;
      },
      async () => {
        made.opened++;
        return sealed;
      },
    );
  return { memory, made, get };
}

test("a route is asked for once in 10 s, and its secrets are opened once", async () => {
  const { made, get, memory } = remembering();
  const first = await get(0, record);
  expect(await get(REGISTRY_CACHE_MS - 1, null)).toBe(first);
  expect(await get(REGISTRY_CACHE_MS, structuredClone(record))).toBe(first);
  expect(made).toEqual({ asked: 2, opened: 1 });
  expect(memory.has("orders")).toBe(true);
});

test("a record that was changed is opened anew, whatever its version", async () => {
  const { made, get } = remembering();
  const first = await get(0, record);
  expect(await get(REGISTRY_CACHE_MS, { ...record, client: "other" })).toMatchObject({ client: "other" });
  expect(await get(2 * REGISTRY_CACHE_MS, record)).not.toBe(first);
  expect(made).toEqual({ asked: 3, opened: 3 });
});

test("that there is none is remembered, too", async () => {
  const { made, get, memory } = remembering();
  for (const now of [0, 1]) await expect(get(now, null)).rejects.toMatchObject({ code: "route_unknown" });
  expect(made).toEqual({ asked: 1, opened: 0 });
  expect(memory.has("orders")).toBe(false);
});

test("one that can't be read is asked for once in 10 s, and good again when it can", async () => {
  const { made, get } = remembering(await Sealing.with([new Uint8Array(32).fill(1)]));
  const unreadable = { code: "route_unreadable" };
  for (const now of [0, 1]) await expect(get(now, record)).rejects.toMatchObject(unreadable);
  expect(made).toEqual({ asked: 1, opened: 1 });
  const open = { ...record, verifier: { type: "none" } } as const;
  expect(await get(REGISTRY_CACHE_MS, open)).toMatchObject({ type: "none" });
});
