import { describe, expect, test } from "vitest";
import type { ProxyAdmission } from "../../../relay-node/proxy/authorizer.ts";
import { GrantCache, standingOf } from "../../../relay-node/proxy/grant-cache.ts";

const T0 = 1_800_000_000_000;
const A = "tcp://a.example.com:443";
const B = "tcp://b.example.com:443";

function admission(target = A, exp = T0 / 1_000 + 300, sub = "app"): ProxyAdmission {
  const grant = {
    iss: "https://edge.example.com",
    aud: "node-1",
    sub,
    act: "proxy",
    iat: T0 / 1_000,
    exp,
    jti: "AAAAAAAAAAAAAAAAAAAAAA",
    target,
  } as const;
  return { grant, rules: [] };
}

describe("a grant of 300 s, asked for at 0, stands", () => {
  test.each([
    [0, "fresh"],
    [11_999, "fresh"],
    [12_000, "aging"],
    [19_999, "aging"],
    [20_000, "stale"],
    [299_999, "stale"],
    [300_000, "dead"],
    // A clock that was set back, by less than the leeway and by more.
    [-1, "stale"],
    [-5_000, "stale"],
    [-5_001, "dead"],
  ])("at %d ms: %s", (ms, standing) => {
    expect(standingOf({ grant: admission().grant, askedAt: T0 }, T0 + ms)).toBe(standing);
  });

  test.each([
    [12_000, 12_000, "resting"],
    [12_000, 12_999, "resting"],
    [12_000, 13_000, "aging"],
    [20_000, 20_999, "resting"],
    [20_000, 21_000, "stale"],
    [299_900, 300_000, "dead"],
    [1_000, 1_500, "fresh"],
    [25_000, 24_000, "stale"],
  ])("asked for anew in vain at %d, at %d ms: %s", (vain, ms, standing) => {
    const kept = { grant: admission().grant, askedAt: T0, vainAt: T0 + vain };
    expect(standingOf(kept, T0 + ms)).toBe(standing);
  });
});

describe("the cache", () => {
  test("finds a grant by credential and target", () => {
    const cache = new GrantCache();
    const given = admission();
    cache.put("one", given, T0);
    expect(cache.find("one", A, T0)).toEqual({ standing: "fresh", admission: given });
    expect([cache.find("one", B, T0), cache.find("two", A, T0)]).toEqual([undefined, undefined]);
  });

  test("has the newest one, and its age", () => {
    const cache = new GrantCache();
    cache.put("one", admission(), T0);
    cache.vain("one", A, T0 + 20_000);
    cache.put("one", admission(), T0 + 20_000);
    expect(cache.find("one", A, T0 + 20_500)?.standing).toBe("fresh");
    expect(cache.size).toBe(1);
  });

  test("forgets what was used least recently, beyond its bound", () => {
    const cache = new GrantCache(2);
    cache.put("one", admission(), T0);
    cache.put("two", admission(), T0);
    cache.find("one", A, T0);
    cache.put("three", admission(), T0);
    const kept = ["one", "two", "three"].filter((id) => cache.find(id, A, T0) !== undefined);
    expect(kept).toEqual(["one", "three"]);
    expect(cache.size).toBe(2);
  });

  test("forgets a client's own beyond the client's share, by whichever credentials it came", () => {
    const cache = new GrantCache(4, 2);
    const of = (sub: string, id: string) => cache.put(id, admission(A, T0 / 1_000 + 300, sub), T0);
    of("other", "theirs");
    for (const id of ["one", "two"]) of("app", id);
    cache.find("one", A, T0);
    for (const id of ["three", "three", "four"]) of("app", id);
    const ids = ["theirs", "one", "two", "three", "four"];
    expect(ids.filter((id) => cache.find(id, A, T0) !== undefined)).toEqual(["theirs", "three", "four"]);
    cache.dropAll("three");
    of("app", "five");
    expect(cache.find("four", A, T0)).toBeDefined();
    expect(cache.size).toBe(3);
  });

  test("forgets the dead, when they are looked up and when it is swept", () => {
    const cache = new GrantCache();
    for (const id of ["one", "two"]) cache.put(id, admission(), T0);
    cache.put("three", admission(A, T0 / 1_000 + 400), T0);
    expect(cache.find("one", A, T0 + 300_000)).toBeUndefined();
    expect(cache.size).toBe(2);
    cache.sweep(T0 + 300_000);
    expect(cache.size).toBe(1);
  });

  test("drops one, or all of a credential", () => {
    const cache = new GrantCache();
    for (const id of ["one", "two"]) for (const target of [A, B]) cache.put(id, admission(target), T0);
    cache.drop("two", A);
    cache.dropAll("one");
    cache.dropAll("nobody");
    expect(cache.find("two", B, T0)).toBeDefined();
    expect(cache.size).toBe(1);
    cache.put("one", admission(), T0);
    expect(cache.find("one", A, T0)).toBeDefined();
  });
});
