import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRelay, RelayError } from "../../client/index.ts";
import { parseHosts } from "../../client/hosts.ts";
import { type FakeEdge, startFakeEdge } from "../support/fake-edge.ts";
import { type Origin, startOrigin } from "./origin.ts";

describe("parseHosts", () => {
  const matches = parseHosts(["api.bank.com", "*.vendor.io", "[2001:db8::1]", "192.0.2.1", "UPPER.example"]);
  test.each([
    ["api.bank.com", true],
    ["api.bank.com.", true],
    ["bank.com", false],
    ["x.api.bank.com", false],
    ["a.vendor.io", true],
    ["a.b.vendor.io", true],
    ["vendor.io", false],
    ["evilvendor.io", false],
    ["[2001:db8::1]", true],
    ["192.0.2.1", true],
    ["upper.example", true],
  ])("%s: %s", (host, expected) => {
    expect(matches(host)).toBe(expected);
  });

  test.each([
    "",
    "*",
    "*.",
    "https://a.example",
    "a.example:443",
    "a.example/x",
    "a.*.example",
    "*.192.0.2.1",
    "b\u00fccher.de",
  ])("%j is refused when the relay is made", (pattern) => {
    const url = "https://app:key@edge.example.com";
    expect(() => createRelay(url, { hosts: [pattern] })).toThrow(RelayError);
    expect(() => createRelay(url, { hosts: [pattern] })).toThrow(/hosts entry/);
  });
});

describe("with hosts", () => {
  let edge: FakeEdge;
  let target: Origin;
  /** The same server under a host that goes through the relay, and under one that does not. */
  let relayed: string;
  let direct: string;
  let relay: ReturnType<typeof createRelay>;

  beforeAll(async () => {
    edge = await startFakeEdge();
    target = await startOrigin((got, response) => {
      const { searchParams, pathname } = new URL(got.url, "http://target");
      if (pathname !== "/go") return void response.end(`${got.method} ${got.body.toString()}`);
      response.writeHead(Number(searchParams.get("status")), { Location: searchParams.get("to")! });
      response.end();
    });
    direct = target.url;
    relayed = target.url.replace("127.0.0.1", "127.0.0.2");
    relay = createRelay(edge.url, { hosts: ["127.0.0.2"] });
  });
  afterAll(async () => {
    await edge.close();
    await target.close();
  });
  afterEach(() => {
    edge.reset();
    target.got.length = 0;
  });
  const go = (from: string, to: string, status: number) =>
    `${from}/go?${new URLSearchParams({ to, status: String(status) })}`;

  test("the rest goes direct, untouched", async () => {
    const response = await relay.fetch(direct, { method: "POST", body: "x" });
    expect(await response.text()).toBe("POST x");
    expect(edge.seen).toEqual([]);
    expect(target.got[0]!.headers["user-agent"]).toBe("node");
    expect(await (await relay.fetch("data:text/plain,hi")).text()).toBe("hi");
  });

  test("a redirect into the relay's hosts goes through the relay", async () => {
    const url = go(direct, `${relayed}/end`, 307);
    const headers = { Authorization: "secret", "X-Own": "1" };
    const response = await relay.fetch(new Request(url, { method: "POST", body: "abc", headers }));
    expect(await response.text()).toBe("POST abc");
    expect([response.url, response.redirected]).toEqual([`${relayed}/end`, true]);
    expect(edge.seen.map(({ claims }) => claims.url)).toEqual([`${relayed}/end`]);
    expect(target.got[1]!.headers).toMatchObject({ "x-own": "1", "content-length": "3" });
    expect(target.got[1]!.headers.authorization).toBeUndefined();
  });

  test("a redirect out of them goes direct", async () => {
    const response = await relay.fetch(go(relayed, `${direct}/end`, 308), {
      method: "POST",
      body: new URLSearchParams({ a: "1" }),
    });
    expect(await response.text()).toBe("POST a=1");
    expect([response.url, response.redirected]).toEqual([`${direct}/end`, true]);
    expect(edge.seen.length).toBe(1);
    expect(target.got[1]!.headers["content-type"]).toContain("x-www-form-urlencoded");
  });

  test("a direct redirect by 303 drops the body on its way", async () => {
    const response = await relay.fetch(go(direct, `${relayed}/end`, 303), { method: "POST", body: "abc" });
    expect(await response.text()).toBe("GET ");
    expect(edge.seen[0]!.claims).toMatchObject({ htm: "GET", framing: "none" });
  });

  test("a direct stream can't be sent again", async () => {
    const init = { method: "POST", body: new Blob(["abc"]).stream(), duplex: "half" } as RequestInit;
    await expect(relay.fetch(go(direct, `${relayed}/end`, 307), init)).rejects.toMatchObject({
      code: "redirect_failed",
    });
  });

  test("manual and error are the underlying fetch's own where it goes direct", async () => {
    const response = await relay.fetch(go(direct, "/end", 302), { redirect: "manual" });
    expect(response.status).toBe(302);
    await expect(relay.fetch(go(direct, "/end", 302), { redirect: "error" })).rejects.toBeInstanceOf(
      TypeError,
    );
  });
});
