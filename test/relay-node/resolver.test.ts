import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { createDnsCache } from "../../relay-node/dns-cache.ts";
import { DnsWarmth } from "../../relay-node/dns-warmth.ts";
import {
  DNS_ADDRESSES_MAX,
  DNS_NEGATIVE_TTL_SECONDS,
  DNS_PARTIAL_TTL_SECONDS,
  DNS_TTL_MAX_SECONDS,
} from "../../relay-node/limits.ts";
import { createResolver, type ResolverOptions } from "../../relay-node/resolver.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";

let server: DnsServer;
let names = 0;

beforeAll(async () => {
  server = await startDnsServer();
});
afterAll(() => server.close());

/** A name that no other test asks for. */
const freshName = () => `n${++names}.example.test`;

function resolverOf(options: Partial<ResolverOptions> = {}) {
  return createResolver({ servers: [server.address], ipv6: true, timeoutMs: 300, tries: 2, ...options });
}

/** A clock that is moved by hand. */
function clock() {
  let time = 0;
  return { now: () => time, pass: (seconds: number) => void (time += seconds * 1_000) };
}

const failure = (promise: Promise<unknown>): Promise<RelayError> =>
  promise.then(
    () => expect.fail("it did not fail"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(RelayError);
      return error as RelayError;
    },
  );

describe("answers", () => {
  it("brings both families, IPv4 first, in the order of each answer", async () => {
    const name = freshName();
    server.set(name, { A: ["192.0.2.9", "192.0.2.1"], AAAA: ["2001:db8::9", "2001:db8::1"] });
    expect(await resolverOf().resolve(name)).toEqual({
      addresses: [
        { address: "192.0.2.9", family: 4 },
        { address: "192.0.2.1", family: 4 },
        { address: "2001:db8::9", family: 6 },
        { address: "2001:db8::1", family: 6 },
      ],
      cached: false,
    });
    expect([server.count(name, "A"), server.count(name, "AAAA")]).toEqual([1, 1]);
  });

  it("asks for AAAA only where IPv6 is on", async () => {
    const name = freshName();
    server.set(name, { A: ["192.0.2.1"], AAAA: ["2001:db8::1"] });
    expect((await resolverOf({ ipv6: false }).resolve(name)).addresses).toEqual([
      { address: "192.0.2.1", family: 4 },
    ]);
    expect(server.count(name, "AAAA")).toBe(0);
  });

  it.each([
    ["AAAA", "no data", { A: ["192.0.2.1"], AAAA: [] }],
    ["AAAA", "SERVFAIL", { A: ["192.0.2.1"], AAAA: "servfail" }],
    ["AAAA", "silence", { A: ["192.0.2.1"], AAAA: "drop" }],
    ["A", "SERVFAIL", { A: "servfail", AAAA: ["2001:db8::1"] }],
    ["A", "silence", { A: "drop", AAAA: ["2001:db8::1"] }],
  ] as const)("uses one family where %s brings %s", async (_type, _what, record) => {
    const name = freshName();
    server.set(name, record);
    const { addresses } = await resolverOf({ timeoutMs: 2_000 }).resolve(name);
    expect(addresses).toHaveLength(1);
  });

  it("does not wait long for the slower family, and asks again soon", async () => {
    const name = freshName();
    const time = clock();
    const resolver = resolverOf({ timeoutMs: 3_000, now: time.now });
    server.set(name, { A: ["192.0.2.1"], AAAA: ["2001:db8::1"], ttl: 600, delayMs: { AAAA: 1_500 } });
    const began = performance.now();
    expect((await resolver.resolve(name)).addresses).toHaveLength(1);
    expect(performance.now() - began).toBeLessThan(1_000);
    server.set(name, { A: ["192.0.2.1"], AAAA: ["2001:db8::1"] });
    time.pass(DNS_PARTIAL_TTL_SECONDS + 0.1);
    expect((await resolver.resolve(name)).addresses).toHaveLength(2);
  });

  it("refuses a name with too many addresses", async () => {
    const name = freshName();
    // One more than fits; few enough for a datagram without truncation.
    const many = Array.from({ length: DNS_ADDRESSES_MAX / 2 + 1 }, (_, index) => index + 1);
    server.set(name, { A: many.map((n) => `192.0.2.${n}`), AAAA: many.map((n) => `2001:db8::${n}`) });
    expect(await failure(resolverOf().resolve(name))).toMatchObject({
      code: "dns_failed",
      detail: expect.stringContaining("66 addresses"),
    });
  });
});

describe("what needs no query", () => {
  it.each([
    ["127.0.0.1", 4],
    ["192.0.2.7", 4],
    ["::1", 6],
    ["2001:db8::7", 6],
    ["::ffff:127.0.0.1", 6],
  ] as const)("gives the literal %s back", async (host, family) => {
    expect(await resolverOf({ ipv6: false }).resolve(host)).toEqual({
      addresses: [{ address: host, family }],
      cached: true,
    });
  });

  it.each(["localhost", "LocalHost", "a.localhost", "a.b.localhost"])("keeps %s from DNS", async (host) => {
    const before = server.queries.length;
    expect((await resolverOf().resolve(host)).addresses).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ]);
    expect((await resolverOf({ ipv6: false }).resolve(host)).addresses).toEqual([
      { address: "127.0.0.1", family: 4 },
    ]);
    expect(server.queries).toHaveLength(before);
  });

  it("is known at once, and so is what was asked lately", async () => {
    const resolver = resolverOf({ ipv6: false });
    const literal = { addresses: [{ address: "192.0.2.7", family: 4 }], cached: true };
    expect(resolver.known!("192.0.2.7")).toEqual(literal);
    expect(() => resolver.known!("0x7f.1")).toThrow("neither a DNS name nor an address");
    expect(resolver.known!("not-asked-yet.example")).toBeUndefined();
  });

  it.each([
    "",
    ".",
    "a..b",
    ".a",
    "a.",
    "localhost.",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "1.2.3.4.5",
    "a.0x1",
    "a.0x",
    "[::1]",
    "::1%eth0",
    "a b",
    "a\\.b",
    "a\n.b",
    "a\0",
    "ü.example",
    "-a.example",
    "a/b",
    "a:80",
    "a@b",
    `${"a".repeat(64)}.example`,
    `${"a.".repeat(127)}example`,
  ])("refuses %j without asking anyone", async (host) => {
    const before = server.queries.length;
    expect(await failure(resolverOf().resolve(host))).toMatchObject({ code: "dns_failed", reached: "no" });
    expect(server.queries).toHaveLength(before);
  });

  it("applies no search list", async () => {
    const module = new URL("../../relay-node/resolver.ts", import.meta.url).href;
    const options = { servers: [server.address], ipv6: false, timeoutMs: 300, tries: 1 };
    const script = `
      import { createResolver } from ${JSON.stringify(module)};
      const resolver = createResolver(${JSON.stringify(options)});
      await resolver.resolve("intranet").catch((error) => console.log(error.code));
    `;
    server.set("intranet.search.test", { A: ["192.0.2.1"] });
    // c-ares takes its search list from this variable first, then from resolv.conf.
    const env = { ...process.env, LOCALDOMAIN: "search.test", RES_OPTIONS: "ndots:5" };
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      env,
    });
    expect(stdout.trim()).toBe("dns_failed");
    expect([server.count("intranet"), server.count("intranet.search.test")]).toEqual([1, 0]);
  });
});

describe("failures", () => {
  it.each([
    ["NXDOMAIN", "nxdomain", "dns_failed"],
    ["no address", [], "dns_failed"],
    ["SERVFAIL", "servfail", "dns_failed"],
    ["REFUSED", "refused", "dns_failed"],
    ["in time", "drop", "dns_timeout"],
  ] as const)("says %s", async (what, reply, code) => {
    const name = freshName();
    server.set(name, { A: reply, AAAA: reply });
    const error = await failure(resolverOf().resolve(name));
    expect(error).toMatchObject({ code, reached: "no", retryable: true });
    expect(error.detail).toContain(name);
    expect(error.detail).toContain(what);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("reports the failure, not the denial beside it", async () => {
    const name = freshName();
    server.set(name, { A: [], AAAA: "servfail" });
    expect((await failure(resolverOf().resolve(name))).detail).toContain("SERVFAIL");
  });

  it("ends by its own deadline, whatever the tries are doing", async () => {
    const name = freshName();
    server.set(name, { A: "drop", AAAA: "drop" });
    const began = performance.now();
    const error = await failure(resolverOf({ timeoutMs: 5_000, tries: 4, deadlineMs: 200 }).resolve(name));
    expect(error.code).toBe("dns_timeout");
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it("asks again after a lost answer", async () => {
    const name = freshName();
    server.set(name, { A: "drop" });
    const pending = resolverOf({ ipv6: false, timeoutMs: 300, tries: 3 }).resolve(name);
    while (server.count(name) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    server.set(name, { A: ["192.0.2.1"] });
    expect((await pending).addresses).toHaveLength(1);
  });
});

describe("the cache", () => {
  it("keeps an answer for its TTL, the shortest of both families", async () => {
    const name = freshName();
    const time = clock();
    const resolver = resolverOf({ now: time.now });
    server.set(name, { A: ["192.0.2.1"], AAAA: ["2001:db8::1"], ttl: 30 });
    expect((await resolver.resolve(name)).cached).toBe(false);
    server.set(name, { A: ["192.0.2.2"] });
    time.pass(29);
    expect(await resolver.resolve(name.toUpperCase())).toMatchObject({
      cached: true,
      addresses: [{ address: "192.0.2.1" }, {}],
    });
    time.pass(1);
    expect(await resolver.resolve(name)).toMatchObject({
      cached: false,
      addresses: [{ address: "192.0.2.2" }],
    });
    expect(server.count(name, "A")).toBe(2);
  });

  it.each([
    [0, 0.9, 1],
    [1_000_000, DNS_TTL_MAX_SECONDS - 1, DNS_TTL_MAX_SECONDS],
  ])("clamps a TTL of %d s", async (ttl, inside, outside) => {
    const name = freshName();
    const time = clock();
    const resolver = resolverOf({ ipv6: false, now: time.now });
    server.set(name, { A: ["192.0.2.1"], ttl });
    await resolver.resolve(name);
    time.pass(inside);
    expect((await resolver.resolve(name)).cached).toBe(true);
    time.pass(outside - inside);
    expect((await resolver.resolve(name)).cached).toBe(false);
  });

  it("keeps a denial briefly", async () => {
    const name = freshName();
    const time = clock();
    const resolver = resolverOf({ now: time.now });
    await failure(resolver.resolve(name));
    await failure(resolver.resolve(name));
    expect(server.count(name)).toBe(2);
    server.set(name, { A: ["192.0.2.1"] });
    time.pass(DNS_NEGATIVE_TTL_SECONDS);
    expect((await resolver.resolve(name)).addresses).toHaveLength(1);
  });

  it("keeps no failure of a name server", async () => {
    const name = freshName();
    const resolver = resolverOf({ ipv6: false, tries: 1 });
    for (const reply of ["servfail", "drop", "refused"] as const) {
      server.set(name, { A: reply });
      await failure(resolver.resolve(name));
    }
    server.set(name, { A: ["192.0.2.1"] });
    expect((await resolver.resolve(name)).cached).toBe(false);
  });

  it("shares one look-up among those who ask at once", async () => {
    const name = freshName();
    const resolver = resolverOf();
    server.set(name, { A: ["192.0.2.1"], AAAA: ["2001:db8::1"], delayMs: 50 });
    const results = await Promise.all(Array.from({ length: 20 }, () => resolver.resolve(name)));
    expect(results.every(({ addresses }) => addresses.length === 2)).toBe(true);
    expect(server.count(name)).toBe(2);
  });

  it("lets one waiter go and serves the others", async () => {
    const name = freshName();
    const resolver = resolverOf();
    server.set(name, { A: ["192.0.2.1"], delayMs: 100 });
    const abort = new AbortController();
    const reason = new Error("gone");
    const leaving = resolver.resolve(name, abort.signal);
    const staying = resolver.resolve(name);
    abort.abort(reason);
    await expect(leaving).rejects.toBe(reason);
    expect((await staying).addresses).toHaveLength(1);
    await expect(resolver.resolve(name, abort.signal)).rejects.toBe(reason);
  });

  it("drops the name that was used least recently", () => {
    const cache = createDnsCache(() => 0, 2);
    const entry = { addresses: [], seconds: 60 };
    cache.put("a", entry);
    cache.put("b", entry);
    cache.get("a");
    cache.put("c", entry);
    expect([cache.get("a"), cache.get("b"), cache.get("c")]).toEqual([entry, undefined, entry]);
  });
});

describe("a name that is in use", () => {
  it("is looked up again before its TTL has ended, and nobody waits for it", async () => {
    const name = freshName();
    const resolver = resolverOf({ ipv6: false });
    server.set(name, { A: ["192.0.2.1"], ttl: 2 });
    await resolver.resolve(name);
    server.set(name, { A: ["192.0.2.2"], ttl: 60 });
    await new Promise((done) => setTimeout(done, 2_300));
    expect(await resolver.resolve(name)).toEqual({
      addresses: [{ address: "192.0.2.2", family: 4 }],
      cached: true,
    });
    expect(server.count(name, "A")).toBe(2);
  });

  it("keeps what is known of it until its end, where nothing better can be had", async () => {
    const name = freshName();
    const resolver = resolverOf({ ipv6: false });
    server.set(name, { A: ["192.0.2.1"], ttl: 2 });
    await resolver.resolve(name);
    server.set(name, { A: "servfail" });
    await new Promise((done) => setTimeout(done, 1_900));
    expect(server.count(name, "A")).toBeGreaterThan(1);
    expect((await resolver.resolve(name)).cached).toBe(true);
    await new Promise((done) => setTimeout(done, 300));
    expect(await failure(resolver.resolve(name))).toMatchObject({ code: "dns_failed" });
  });

  it("is left alone once nobody has used it for a while", async () => {
    let time = 0;
    const renewed: string[] = [];
    const warmth = new DnsWarmth(
      (name) => renewed.push(name),
      () => time,
      2,
    );
    warmth.holds("used.test", 2);
    warmth.holds("unused.test", 2);
    // No more than so many.
    warmth.holds("third.test", 2);
    warmth.holds("brief.test", 1);
    expect(warmth.size).toBe(2);
    time = 31_000;
    warmth.used("used.test");
    await new Promise((done) => setTimeout(done, 1_950));
    expect([renewed, warmth.size]).toEqual([["used.test"], 1]);
    warmth.forget("used.test");
    expect(warmth.size).toBe(0);
  });
});
