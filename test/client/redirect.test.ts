import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRelay, type Relay, RelayError } from "../../client/index.ts";
import { nextHop } from "../../client/redirect.ts";
import { type FakeEdge, sendError, startFakeEdge } from "../support/fake-edge.ts";
import { type Origin, startOrigin } from "./origin.ts";

let edge: FakeEdge;
let first: Origin;
let second: Origin;
let relay: Relay;

beforeAll(async () => {
  edge = await startFakeEdge();
  second = await startOrigin((got, response) =>
    response.end(`${got.method} ${got.url} ${got.body.toString()}`),
  );
  first = await startOrigin((got, response) => {
    const { searchParams, pathname } = new URL(got.url, "http://first");
    if (pathname !== "/go") return void response.end(`${got.method} ${got.url} ${got.body.toString()}`);
    const location = searchParams.get("to");
    response.writeHead(
      Number(searchParams.get("status") ?? 302),
      location === null ? {} : { Location: location },
    );
    response.end("moved");
  });
  relay = createRelay(edge.url);
});
afterAll(async () => {
  await Promise.all([edge.close(), first.close(), second.close()]);
});
afterEach(() => {
  edge.reset();
  first.got.length = 0;
  second.got.length = 0;
});

const go = (to: string, status = 302) =>
  `${first.url}/go?${new URLSearchParams({ to, status: String(status) })}`;
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("nextHop", () => {
  const at = (method: string, url = "https://a.example/x/y?z") => ({
    method,
    url: new URL(url),
    fields: [
      ["Authorization", "secret"],
      ["Cookie", "c"],
      ["Content-Type", "t"],
      ["Content-Language", "l"],
      ["X-Own", "o"],
    ] as const,
  });
  const names = (fields: readonly (readonly [string, string])[]) => fields.map(([name]) => name).join(" ");
  const ALL = "Authorization Cookie Content-Type Content-Language X-Own";

  test.each<[number, string, "none" | "replayable" | "stream", string, string, boolean]>([
    [301, "POST", "replayable", "GET", "Authorization Cookie X-Own", false],
    [302, "POST", "stream", "GET", "Authorization Cookie X-Own", false],
    [301, "PUT", "replayable", "PUT", ALL, true],
    [302, "GET", "none", "GET", ALL, false],
    [303, "PUT", "stream", "GET", "Authorization Cookie X-Own", false],
    [303, "HEAD", "none", "HEAD", ALL, false],
    [307, "POST", "replayable", "POST", ALL, true],
    [308, "POST", "none", "POST", ALL, false],
  ])("%i %s with %s body goes on as %s", (status, method, body, next, kept, keepsBody) => {
    const verdict = nextHop(at(method), { status, location: "../w" }, 0, body);
    expect(verdict).toMatchObject({ kind: "follow", keepsBody, hop: { method: next } });
    if (verdict.kind !== "follow") return;
    expect(verdict.hop.url.href).toBe("https://a.example/w");
    expect(names(verdict.hop.fields)).toBe(kept);
  });

  test.each([
    ["https://b.example/", "Content-Type Content-Language X-Own"],
    ["https://a.example:8443/", "Content-Type Content-Language X-Own"],
    ["http://a.example/", "Content-Type Content-Language X-Own"],
    ["https://a.example/other", ALL],
    ["//a.example:443/", ALL],
  ])("to %s keeps %s", (location, kept) => {
    const verdict = nextHop(at("PUT"), { status: 307, location }, 0, "replayable");
    expect(verdict.kind === "follow" && names(verdict.hop.fields)).toBe(kept);
  });

  test.each<[string, number, string, number, "none" | "stream"]>([
    ["no URL", 302, "https://[", 0, "none"],
    ["another scheme", 302, "file:///etc/passwd", 0, "none"],
    ["data", 302, "data:text/plain,x", 0, "none"],
    ["too many", 302, "/", 20, "none"],
    ["a stream again", 307, "/", 0, "stream"],
    ["a stream again by 302", 302, "/", 0, "stream"],
  ])("fails for %s", (_, status, location, hops, body) => {
    expect(nextHop(at("PUT"), { status, location }, hops, body).kind).toBe("fail");
  });

  test.each([
    [200, "/"],
    [304, "/"],
    [300, "/"],
    [302, null],
  ])("%i to %s is final", (status, location) => {
    expect(nextHop(at("GET"), { status, location }, 0, "none").kind).toBe("final");
  });
});

describe("redirects", () => {
  test("are followed, each hop signed anew", async () => {
    const response = await relay.fetch(go(`${second.url}/end#part`), {
      headers: { Authorization: "Bearer x", Cookie: "a=b", "X-Own": "1" },
    });
    expect(await response.text()).toBe("GET /end ");
    expect([response.url, response.redirected]).toEqual([`${second.url}/end`, true]);
    const [one, two] = edge.seen;
    expect(two!.claims.url).toBe(`${second.url}/end`);
    expect(one!.claims.jti).not.toBe(two!.claims.jti);
    expect(first.got[0]!.headers.authorization).toBe("Bearer x");
    expect(second.got[0]!.headers).toMatchObject({ "x-own": "1" });
    expect(second.got[0]!.headers.authorization).toBeUndefined();
    expect(second.got[0]!.headers.cookie).toBeUndefined();
  });

  test("by 303 turn a POST into a GET without a body", async () => {
    const response = await relay.fetch(go("/end", 303), { method: "POST", body: "abc" });
    expect(await response.text()).toBe("GET /end ");
    expect(first.got[1]!.headers["content-type"]).toBeUndefined();
    expect(first.got[1]!.headers["content-length"]).toBeUndefined();
  });

  test("by 307 send the body again", async () => {
    const body = new FormData();
    body.append("a", "1");
    await (await relay.fetch(go("/end", 307), { method: "POST", body })).text();
    expect(first.got[1]!.body.equals(first.got[0]!.body)).toBe(true);
    expect(first.got[1]!.headers["content-type"]).toBe(first.got[0]!.headers["content-type"]);
  });

  test("by 307 fail for a stream, and say that the target was reached", async () => {
    const init = { method: "POST", body: new Blob(["abc"]).stream(), duplex: "half" } as RequestInit;
    const error = await failure(relay.fetch(go("/end", 307), init));
    expect(error).toMatchObject({ code: "redirect_failed", reached: "yes", retryable: false });
  });

  test("stop after twenty", async () => {
    const loop = await startOrigin((_, response) => response.writeHead(302, { Location: "/" }).end());
    try {
      expect(await failure(relay.fetch(loop.url))).toMatchObject({ code: "redirect_failed" });
      expect(loop.got.length).toBe(21);
    } finally {
      await loop.close();
    }
  });

  test("are handed over by manual, and refused by error", async () => {
    const response = await relay.fetch(go("/end"), { redirect: "manual" });
    expect([response.status, response.headers.get("location"), response.redirected]).toEqual([
      302,
      "/end",
      false,
    ]);
    expect(await response.text()).toBe("moved");
    expect(await failure(relay.fetch(go("/end"), { redirect: "error" }))).toBeInstanceOf(TypeError);
    expect(first.got.length).toBe(2);
  });

  test("that lead to a refusal say that an earlier target was reached", async () => {
    edge.next((_, response) => {
      edge.next((_seen, next) => sendError(next, new RelayError("target_not_allowed", "not yours")));
      response.writeHead(200, {
        "Relay-Status": "target",
        "Relay-Envelope": "1",
        "Relay-Fields-1": Buffer.from(":status:307\n:reason:\nLocation:https://b.example/\n").toString(
          "base64url",
        ),
      });
      response.end();
    });
    const error = await failure(relay.fetch(`${first.url}/`, { method: "POST", body: "pay" }));
    expect(error).toMatchObject({ code: "target_not_allowed", reached: "yes", retryable: false });
  });
});
