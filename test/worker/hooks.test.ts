import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { ERRORS, type ErrorCode, type Problem } from "../../protocol/errors.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { countsOf, putRoute, type RouteForm, storedOf } from "../support/hook-routes.ts";
import { HOOK_SENDERS, type HookSender } from "../support/hook-senders.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";

const BODY = Buffer.from('{"id":"evt_1","customer":"c1"}');

let pool: FakePool;
beforeAll(async () => {
  pool = await startFakePool(1, ["https://internal.example.com"], { CLIENT_ADDRESS_HEADER: "X-Caller" });
});
afterAll(() => pool.stop());

let routes = 0;
/** A fresh route. */
async function route(form: Omit<RouteForm, "id"> = {}): Promise<string> {
  const id = `route-${++routes}`;
  await putRoute(pool.operator, { id, ...form });
  return id;
}

function call(
  id: string,
  body: Buffer | string = BODY,
  headers: Readonly<Record<string, string>> = {},
  query = "",
) {
  return fetch(`${pool.edge}/hooks/${id}${query}`, {
    method: "POST",
    body: typeof body === "string" ? body : Uint8Array.from(body),
    headers,
  });
}

async function expectCode(answer: Response, code: ErrorCode): Promise<Problem> {
  expect(answer.headers.get("relay-error")).toBe(code);
  expect(answer.status).toBe(ERRORS[code].status);
  return (await answer.json()) as Problem;
}

const now = () => Math.floor(Date.now() / 1_000);
const peer = () => ({ port: Number(new URL(pool.edge).port) });

describe.each(HOOK_SENDERS)("an event by $type", (sender: HookSender) => {
  const { type, verifier, secrets, isTimed, needs } = sender;
  const [one, two, stranger] = secrets;
  const signed = async (secret: string, id: string, body = BODY, seconds = now()) =>
    sender.sign(secret, body, seconds, `${pool.edge}/hooks/${id}`);
  const sendSigned = async (secret: string, id: string, body = BODY, seconds = now()) => {
    const { headers, query } = await signed(secret, id, body, seconds);
    return call(id, body, headers, query);
  };
  const make = (live: readonly string[]) => route({ verifier: { type, ...verifier, secrets: live } });

  test("is stored where it is signed", async () => {
    const id = await make([one]);
    const answer = await sendSigned(one, id);
    expect(answer.status).toBe(202);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const stored = (await answer.json()) as { id: string };
    expect(stored).toEqual({ id: stored.id, status: "stored" });
    expect(await storedOf(pool.operator, id)).toMatchObject([
      { id: stored.id, kind: "hook", client: "app", method: "POST", size: BODY.length, origin: null },
    ]);
  });

  test("is refused by another secret, with another body or without a signature", async () => {
    const id = await make([one]);
    await expectCode(await sendSigned(stranger, id), "hook_signature");
    const { headers, query } = await signed(one, id);
    await expectCode(await call(id, `${BODY.toString()} `, headers, query), "hook_signature");
    for (const name of needs) {
      const { [name]: _left, ...others } = headers;
      const { detail } = await expectCode(await call(id, BODY, others, query), "hook_signature");
      expect(detail.toLowerCase()).toBe(`the call has no ${name}`);
    }
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 0 });
  });

  test("is refused where it is old, if that is signed", async () => {
    const answer = await sendSigned(one, await make([one]), BODY, now() - 310);
    if (isTimed) await expectCode(answer, "hook_signature");
    else expect(answer.status).toBe(202);
  });

  test("is taken by both secrets during a rotation", async () => {
    const id = await make([two, one]);
    for (const secret of [one, two]) {
      expect([200, 202]).toContain(
        (await sendSigned(secret, id, BODY, now() - (secret === one ? 1 : 0))).status,
      );
    }
    await expectCode(await sendSigned(stranger, id), "hook_signature");
  });

  // A long one is proven while it is staged.
  test("of a megabyte is stored, and refused where it is signed otherwise", async () => {
    const id = await route({ verifier: { type, ...verifier, secrets: [one] }, dedupe: "none" });
    const body = Buffer.alloc(1_100_000, 0xff);
    expect((await sendSigned(one, id, body)).status).toBe(202);
    await expectCode(await sendSigned(stranger, id, body), "hook_signature");
    const { headers, query } = await signed(one, id, body);
    body[1_099_999] = 0;
    await expectCode(await call(id, body, headers, query), "hook_signature");
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 1 });
  });
});

describe("the same event", () => {
  test("100 times at once is stored once", async () => {
    const id = await route({ dedupe: "json:/id" });
    const answers = await Promise.all(Array.from({ length: 100 }, () => call(id)));
    const [first, ...others] = answers.toSorted((a, b) => b.status - a.status);
    expect(first!.status).toBe(202);
    const stored = (await first!.json()) as { id: string };
    for (const other of others) {
      expect(other.status).toBe(200);
      expect(await other.json()).toEqual({ id: stored.id, status: "duplicate" });
    }
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 1 });
    expect(await storedOf(pool.operator, id)).toMatchObject([{ dedupe: "evt_1" }]);
  });

  test("is known by a field, however long its body", async () => {
    const id = await route({ dedupe: "header:X-Event-Id" });
    const long = Buffer.alloc(300_000);
    expect((await call(id, long, { "x-event-id": "e1" })).status).toBe(202);
    expect((await call(id, long, { "x-event-id": "e1" })).status).toBe(200);
    expect((await call(id, BODY, { "x-event-id": "e1" })).status).toBe(200);
    expect((await call(id, long, { "x-event-id": "e2" })).status).toBe(202);
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 2 });
  });

  test("is another one where nothing tells", async () => {
    const id = await route();
    for (let n = 0; n < 3; n++) expect((await call(id)).status).toBe(202);
    const keyed = await route({ dedupe: "json:/event" });
    for (let n = 0; n < 3; n++) expect((await call(keyed)).status).toBe(202);
    expect(await countsOf(pool.operator, keyed)).toMatchObject({ accepted: 3 });
  });

  test("is not known to a stranger", async () => {
    const verifier = { type: "github", secrets: ["s"] };
    const id = await route({ verifier });
    const forged = { "x-hub-signature-256": `sha256=${"0".repeat(64)}`, "x-github-delivery": "d1" };
    await expectCode(await call(id, BODY, forged), "hook_signature");
    const { headers } = await HOOK_SENDERS[2]!.sign("s", BODY, now(), "");
    expect((await call(id, BODY, { ...headers, "x-github-delivery": "d1" })).status).toBe(202);
    expect((await call(id, BODY, { ...headers, "x-github-delivery": "d1" })).status).toBe(200);
  });
});

test.each([
  ["all", {}, "all"],
  ["json:/customer", {}, "c1"],
  ["header:X-Lane", { "x-lane": "l1" }, "l1"],
  ["header:X-Lane", {}, null],
])("an event's lane by %s", async (order, headers: Record<string, string>, lane) => {
  const id = await route({ order });
  expect((await call(id, BODY, headers)).status).toBe(202);
  expect(await storedOf(pool.operator, id)).toMatchObject([{ lane }]);
});

/** What is answered to a head, with no body behind it: one that is sent beside its refusal may end in a broken connection. */
async function answerTo(id: string, fields: readonly string[], method = "POST") {
  const socket = await openRaw(peer());
  const reading = readRaw(socket, 3_000, 500);
  socket.write(rawRequest(`${method} /hooks/${id}`, ["Host: edge", ...fields]));
  return parseAnswers(await reading)[0];
}

/** The detail of its refusal of a body that long. */
async function tooLarge(id: string, bytes: number, fields: readonly string[] = []): Promise<string> {
  const answer = await answerTo(id, [`Content-Length: ${bytes}`, ...fields]);
  expect([answer?.status, answer?.field("relay-error")]).toEqual([ERRORS.too_large.status, "too_large"]);
  return (JSON.parse(answer!.body) as { readonly detail: string }).detail;
}

describe("refused by its head, with a body that never comes, is", () => {
  test.each([
    ["a route that is not there", "nowhere", ["Content-Length: 9"], "route_unknown"],
    ["a name that is none", "No.Route", ["Content-Length: 9"], "route_unknown"],
    ["something behind a route's name", "open/", ["Content-Length: 9"], "route_unknown"],
    ["a declared length", "small", ["Content-Length: 11"], "too_large"],
    ["a missing signature", "signed", ["Content-Length: 9"], "hook_signature"],
    ["a missing signature of a chunked body", "signed", ["Transfer-Encoding: chunked"], "hook_signature"],
    [
      "a signature without a form",
      "signed",
      ["Content-Length: 9", "X-Hub-Signature-256: 00"],
      "hook_signature",
    ],
  ] as const)("%s", async (_what, id, fields, code) => {
    await putRoute(pool.operator, { id: "small", limits: { bodyBytes: 10 } });
    await putRoute(pool.operator, { id: "signed", verifier: { type: "github", secrets: ["s"] } });
    const answer = await answerTo(id, fields);
    expect(answer?.field("relay-error")).toBe(code);
    expect(answer?.status).toBe(ERRORS[code].status);
  });

  test("another method", async () => {
    const id = await route();
    expect((await answerTo(id, [], "GET"))?.field("relay-error")).toBe("method_not_allowed");
    expect((await answerTo(id, ["Content-Length: 9"], "PUT"))?.field("relay-error")).toBe(
      "method_not_allowed",
    );
  });
});

describe("a body that is too long", () => {
  const chunked = (size: number) =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(size));
        controller.close();
      },
    });
  const callChunked = (id: string, size: number) =>
    fetch(`${pool.edge}/hooks/${id}`, { method: "POST", body: chunked(size), duplex: "half" } as RequestInit);

  test("for its route is refused, and one that is just as long is not", async () => {
    const id = await route({ limits: { bodyBytes: 300_000 } });
    for (const size of [300_000, 0]) expect((await callChunked(id, size)).status).toBe(202);
    for (const size of [300_001, 700_000]) await expectCode(await callChunked(id, size), "too_large");
    await expectCode(await call(id, Buffer.alloc(300_001)), "too_large");
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 2 });
  });

  test("to be read for its key is refused, and the detail says why", async () => {
    const id = await route({ dedupe: "json:/id" });
    const text = (size: number) => Buffer.from(`{"id":"long","x":"${"x".repeat(size - 20)}"}`);
    expect((await call(id, text(1_048_576))).status).toBe(202);
    expect(await storedOf(pool.operator, id)).toMatchObject([{ dedupe: "long", size: 1_048_576 }]);
    const chunkedOne = await expectCode(await callChunked(id, 1_048_577), "too_large");
    for (const detail of [await tooLarge(id, 1_048_577), chunkedOne.detail]) {
      expect(detail).toMatch(
        /at most 1048576 bytes is taken, since what the event is known or ordered by must/,
      );
    }
  });

  test("of a form that Twilio signs is refused, and the detail says why", async () => {
    const id = await route({ verifier: { type: "twilio", secrets: ["s"] } });
    const detail = await tooLarge(id, 1_048_577, [
      "X-Twilio-Signature: AAAA",
      "Content-Type: application/x-www-form-urlencoded",
    ]);
    expect(detail).toMatch(/since the form's parameters, which are signed, must be read/);
  });
});

describe("a body that was cut is not stored", () => {
  test.each([
    ["of a known length", ["Content-Length: 500000"], "x".repeat(499_999)],
    ["of a short known length", ["Content-Length: 5"], "1234"],
    ["in chunks", ["Transfer-Encoding: chunked"], `61a80\r\n${"x".repeat(400_000)}\r\n`],
    ["in a chunk", ["Transfer-Encoding: chunked"], `61a80\r\n${"x".repeat(399_999)}`],
    ["in short chunks", ["Transfer-Encoding: chunked"], "5\r\n12345\r\n"],
  ])("%s", async (_what, fields, body) => {
    const id = await route();
    for (const how of ["end", "resetAndDestroy"] as const) {
      const socket = await openRaw(peer());
      const reading = readRaw(socket, 3_000);
      socket.write(rawRequest(`POST /hooks/${id}`, ["Host: edge", ...fields], body));
      await new Promise((done) => setTimeout(done, 200));
      socket[how]();
      const [answer] = parseAnswers(await reading);
      if (answer !== undefined) expect(answer.status).toBe(400);
    }
    await new Promise((done) => setTimeout(done, 200));
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 0 });
  });
});

test("a route that is called too often asks to wait", async () => {
  const id = await route({ limits: { requestsPerSecond: 0.2 } });
  expect((await call(id)).status).toBe(202);
  const answer = await call(id);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(4);
  await expectCode(answer, "rate_limited");
});

test("whoever guesses at routes is asked to wait, and a route that is known goes on", async () => {
  const id = await route();
  const caller = { "x-caller": "192.0.2.7" };
  expect((await call(id, BODY, caller)).status).toBe(202);
  const codes: (string | null)[] = [];
  for (let n = 0; n < 25; n++) {
    const answer = await call(`guess-${n}`, BODY, caller);
    await answer.body?.cancel();
    codes.push(answer.headers.get("relay-error"));
  }
  expect(codes.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => "route_unknown"));
  expect(codes.slice(22)).toEqual(["rate_limited", "rate_limited", "rate_limited"]);
  expect((await call(id, BODY, caller)).status).toBe(202);
  expect((await call("guess", BODY, { "x-caller": "192.0.2.8" })).status).toBe(404);
});

test("a paused route goes on accepting", async () => {
  const id = await route();
  await adminCall(pool.operator, "POST", `/admin/deliveries/route:${id}/pause`, { body: { reason: "x" } });
  expect((await call(id)).status).toBe(202);
});

test("a query that would make no URL is refused", async () => {
  const id = await route();
  await expectCode(await call(id, BODY, {}, `?${"x".repeat(8_200)}`), "url_invalid");
});

describe("Slack's challenge", () => {
  const slack = HOOK_SENDERS.find(({ type }) => type === "slack")!;
  const challenge = Buffer.from('{"type":"url_verification","token":"t","challenge":"<3eZb>"}');

  test("is answered and not stored", async () => {
    const id = await route({ verifier: { type: "slack", secrets: ["s"] } });
    const { headers } = await slack.sign("s", challenge, now(), "");
    const answer = await call(id, challenge, headers);
    expect([answer.status, await answer.text()]).toEqual([200, "<3eZb>"]);
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 0 });
  });

  test("is answered to nobody who didn't sign it", async () => {
    const id = await route({ verifier: { type: "slack", secrets: ["s"] } });
    const { headers } = await slack.sign("other", challenge, now(), "");
    await expectCode(await call(id, challenge, headers), "hook_signature");
  });

  test("is an event like any to another route", async () => {
    expect((await call(await route(), challenge)).status).toBe(202);
  });
});

test("each refusal writes one line, without what it was called with", async () => {
  const id = await route({ verifier: { type: "github", secrets: ["s"] } });
  const before = pool.log().length;
  await call(id, BODY, { "x-hub-signature-256": "sha256=s3cr3t" }, "?token=s3cr3t");
  await call("s3cr3t-route");
  const lines = () =>
    pool
      .log()
      .slice(before)
      .split("\n")
      .filter((line) => line.includes("hook_refused"));
  await expect.poll(lines).toHaveLength(2);
  expect(lines().map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      decision: "hook_refused",
      route: id,
      code: "hook_signature",
      detail: "the call has no signature of the kind that its route takes",
    },
    { decision: "hook_refused", route: null, code: "route_unknown", detail: "there is no such route" },
  ]);
  expect(pool.log().slice(before)).not.toContain("s3cr3t");
});
