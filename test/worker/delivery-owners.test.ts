import { beforeEach, describe, expect, test } from "vitest";
import { AuditTable } from "../../worker/registry/audit-table.ts";
import { ClientsTable } from "../../worker/registry/clients-table.ts";
import { DeliveryOwners } from "../../worker/registry/delivery-owners.ts";
import type { RouteRecord } from "../../worker/routes.ts";
import { sqliteStorage } from "../support/sqlite-storage.ts";

/** What the registry knows of those who have deliveries: routes, pauses, stores in use. */

let owners: DeliveryOwners;
let clients: ClientsTable;
let audit: AuditTable;
beforeEach(() => {
  const sql = sqliteStorage();
  clients = new ClientsTable(sql);
  audit = new AuditTable(sql);
  owners = new DeliveryOwners(sql, { clients, audit });
  clients.put({ id: "shop", keys: [], allow: [] }, "none");
});

const AUTHOR = { by: "operator", at: 1_800_000_000 };
const route = (changes: Partial<RouteRecord> = {}): RouteRecord => ({
  id: "orders",
  client: "shop",
  target: "https://internal.example.com/hooks",
  verifier: { type: "stripe", secrets: [{ sealed: "sealed-one", print: "print-one" }] },
  ...changes,
});
const latest = () => audit.list({ limit: 1 })[0]!;

describe("routes", () => {
  test("are stored where their client is registered, by their versions", () => {
    expect(owners.putRoute(route({ client: "nobody" }), "none", AUTHOR)).toBe("client_unknown");
    expect(owners.putRoute(route(), "any", AUTHOR)).toBe("version_conflict");
    expect(owners.putRoute(route(), "none", AUTHOR)).toEqual({ version: 1, isNew: true, pause: null });
    expect(owners.putRoute(route(), "none", AUTHOR)).toBe("version_conflict");
    expect(owners.putRoute(route({ order: "all" }), 1, AUTHOR)).toMatchObject({ version: 2, isNew: false });
    expect(owners.of("route:orders")).toEqual({
      route: { version: 2, record: route({ order: "all" }) },
      isThere: true,
      pause: null,
    });
  });

  test("are written down with what changed of them, of secrets the prints", () => {
    owners.putRoute(route(), "none", AUTHOR);
    const verifier = {
      type: "stripe" as const,
      secrets: [
        { sealed: "sealed-two", print: "print-two" },
        { sealed: "sealed-one", print: "print-one" },
      ],
    };
    owners.putRoute(route({ verifier }), 1, AUTHOR);
    expect(latest()).toMatchObject({
      action: "route.update",
      client: "shop",
      subject: "orders",
      version: 2,
      detail: {
        verifier: {
          before: { type: "stripe", secrets: ["print-one"] },
          after: { type: "stripe", secrets: ["print-two", "print-one"] },
        },
      },
    });
    expect(JSON.stringify(audit.list({ limit: 9 }))).not.toContain("sealed");
  });

  test("that were removed hold what they accepted, also when they are made again, until somebody resumes", () => {
    owners.putRoute(route(), "none", AUTHOR);
    expect(owners.deleteRoute("orders", 2, AUTHOR)).toBe(false);
    expect(owners.deleteRoute("orders", 1, AUTHOR)).toBe(true);
    const pause = { at: 1_800_000_000_000, by: null, reason: "the route was removed" };
    expect(owners.of("route:orders")).toEqual({ route: null, isThere: false, pause });
    expect(owners.putRoute(route(), "none", AUTHOR)).toEqual({ version: 2, isNew: true, pause });
    expect(owners.resume("route:orders", AUTHOR)).toEqual(pause);
    expect(owners.of("route:orders")).toMatchObject({ isThere: true, pause: null });
    expect(latest()).toMatchObject({ action: "deliveries.resume", client: "shop", subject: "route:orders" });
  });
});

test("a removed client's own deliveries and its routes' are held", () => {
  clients.put({ id: "bank", keys: [], allow: [] }, "none");
  owners.putRoute(route(), "none", AUTHOR);
  owners.putRoute(route({ id: "refunds" }), "none", AUTHOR);
  owners.putRoute(route({ id: "theirs", client: "bank" }), "none", AUTHOR);
  owners.pauseItself("route:refunds", "its target is gone (410)", 5);
  clients.delete("shop", "any");
  expect(owners.clientRemoved("shop", AUTHOR)).toEqual(["client:shop", "route:orders"]);
  const pause = { by: null, reason: "the client shop was removed" };
  expect(owners.of("client:shop")).toMatchObject({ isThere: false, pause });
  expect(owners.of("route:orders")).toMatchObject({ isThere: true, pause });
  expect(owners.of("route:refunds").pause?.reason).toBe("its target is gone (410)");
  expect(owners.of("route:theirs").pause).toBeNull();
});

describe("pauses", () => {
  test("of the edge's own are written down once, and give way to an operator's", () => {
    owners.putRoute(route(), "none", AUTHOR);
    owners.pauseItself("route:orders", "its target is gone (410)", 1_800_000_001_500);
    owners.pauseItself("route:orders", "something else", 1_800_000_002_000);
    expect(owners.of("route:orders").pause).toEqual({
      at: 1_800_000_001_500,
      by: null,
      reason: "its target is gone (410)",
    });
    expect(audit.list({ limit: 9 }).map(({ by, action }) => [by, action])).toEqual([
      ["(edge)", "deliveries.pause"],
      ["operator", "route.add"],
    ]);
    owners.pause("route:orders", "moving house", AUTHOR);
    expect(owners.of("route:orders").pause).toMatchObject({ by: "operator", reason: "moving house" });
    expect(latest().detail).toEqual({ reason: "moving house", before: "its target is gone (410)" });
  });

  test("that there are none of can't be ended", () => {
    expect(owners.resume("client:shop", AUTHOR)).toBeNull();
    expect(audit.list({ limit: 9 })).toEqual([]);
  });
});

test("stores in use are told once, page by page, and from the beginning again", () => {
  const places = [
    { owner: "client:shop", index: 0 },
    { owner: "client:shop", index: 7 },
    { owner: "route:orders", index: 3 },
  ] as const;
  for (const place of [...places, ...places].toReversed()) owners.stores.add(place);
  const pages = [1, 2, 3, 4, 5].map(() => owners.stores.next(2));
  expect(pages).toEqual([places.slice(0, 2), places.slice(2), [], places.slice(0, 2), places.slice(2)]);
  expect(owners.stores.of("client:shop")).toEqual(places.slice(0, 2));
});

test("a record that can't be read stands in nobody's way", () => {
  const sql = sqliteStorage();
  const table = new ClientsTable(sql);
  const broken = new DeliveryOwners(sql, { clients: table, audit: new AuditTable(sql) });
  table.put({ id: "shop", keys: [], allow: [] }, "none");
  sql.exec("INSERT INTO routes VALUES ('orders', 1, 'nonsense')");
  expect(() => broken.of("route:orders")).toThrow(SyntaxError);
  expect(broken.clientRemoved("shop", AUTHOR)).toEqual(["client:shop"]);
  expect(broken.putRoute(route(), 1, AUTHOR)).toMatchObject({ version: 2, isNew: false });
});
