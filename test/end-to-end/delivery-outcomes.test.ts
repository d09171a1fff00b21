import { once } from "node:events";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { verifyCallback } from "../../examples/callbacks/verify.ts";
import type { DeliveryDetail } from "../../protocol/deliveries.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { askAbout, handOver, sendOver, untilSo } from "../support/deliveries.ts";
import { type Bench, sleep, startBench } from "../support/fidelity.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";
import type { Script } from "../support/raw-origin.ts";
import { freePort } from "../support/stack.ts";

/** How requests end that were handed over to the edge in workerd. */

let bench: Bench;
let url: string;
/** A port of a target's that is not there. */
let nobody: string;
/** Where callbacks go to. */
let callbacks: CallbackTarget;
beforeAll(async () => {
  nobody = `http://localhost:${await freePort()}`;
  callbacks = await startCallbacks();
  bench = await startBench([nobody, callbacks.url]);
  ({ url } = bench.tls);
});
afterAll(async () => {
  await bench.stop();
  callbacks.close();
});

const answer =
  (head: string, body = ""): Script =>
  async (exchange) => {
    await exchange.ended;
    await exchange.send(`HTTP/1.1 ${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  };

/** Hands a request over and waits for how it ends. */
async function ended(
  call: { readonly method?: string; readonly url: string },
  delivery: Parameters<typeof handOver>[3],
  isSo: (detail: DeliveryDetail) => boolean = ({ state }) => state !== "pending",
): Promise<DeliveryDetail> {
  const told = await handOver(bench.relayUrl, { method: "POST", framing: 2, ...call }, "{}", delivery);
  expect(told.status).toBe(202);
  return untilSo(bench.relayUrl, told.json["id"], isSo);
}

describe("what a target says", () => {
  test("a redirect is a failure, and not followed", async () => {
    bench.tls.next(answer(`302 Found\r\nLocation: ${url}/elsewhere`));
    const detail = await ended({ url: `${url}/moved` }, { schedule: [0] });
    expect(detail).toMatchObject({
      state: "dead",
      spent: 1,
      attempts: [{ result: "answered", status: 302 }],
    });
    const { head } = await bench.tls.request();
    expect(head.start).toBe("POST /moved HTTP/1.1");
    expect(bench.tls.unasked).toBe(0);
  });

  test("the first 4 kB of an answer are kept", async () => {
    const body = "caf\xe9 ".repeat(2_000);
    bench.tls.next(answer("500 Oops", body));
    const { answer: kept } = await ended({ url }, { schedule: [0] });
    expect(kept).toEqual({
      status: 500,
      body: Buffer.from(body, "latin1").subarray(0, 4_096).toString("base64"),
      isCut: true,
    });
    await bench.tls.request();
  });

  test("an answer that breaks off is one", async () => {
    bench.tls.next(async (exchange) => {
      await exchange.ended;
      await exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      await exchange.reset();
    });
    const detail = await ended({ url }, { schedule: [0] });
    expect(detail).toMatchObject({ state: "delivered", answer: { status: 200, isCut: true } });
    await bench.tls.request();
  });

  test("Retry-After is waited for", async () => {
    bench.tls.next(answer("429 Slow\r\nRetry-After: 100"));
    const detail = await ended({ url }, { schedule: [0, 1] }, ({ spent }) => spent === 1);
    expect(detail.state).toBe("pending");
    expect(detail.due! - detail.attempts[0]!.ended!).toBeGreaterThanOrEqual(100_000);
    await bench.tls.request();
  });

  test("a target that is not there spends its schedule", async () => {
    const detail = await ended({ url: nobody }, { schedule: [0, 0.1] });
    expect(detail).toMatchObject({
      state: "dead",
      spent: 2,
      answer: null,
      attempts: [
        { n: 1, result: "failed", code: "connect_refused", node: "node-1" },
        { n: 2, result: "failed", code: "connect_refused" },
      ],
    });
  });

  test("a target that answers no HTTP is at fault", async () => {
    bench.tls.next((exchange) => exchange.send("SSH-2.0-OpenSSH_9.6\r\n\r\n"));
    const detail = await ended({ url }, { schedule: [0] });
    expect(detail).toMatchObject({
      state: "dead",
      attempts: [{ result: "failed", code: "target_protocol" }],
    });
    await bench.tls.request();
  });
});

describe("a callback", () => {
  test.for([
    ["delivered", answer("204 No Content"), 204],
    ["dead", answer("400 Bad"), 400],
  ] as const)("tells that it is %s, signed by the edge", async ([state, script, status]) => {
    bench.tls.next(script);
    const { id } = await ended({ url }, { schedule: [0], callback: `${callbacks.url}/done?for=1` });
    const call = await callbacks.next();
    expect([call.method, call.url, call.from]).toEqual(["POST", "/done?for=1", "127.0.0.2"]);
    const request = (body: string) => new Request("http://shop.example/done", { ...call, body });
    expect(await verifyCallback(request(call.body), bench.edge)).toMatchObject({
      type: `delivery.${state}`,
      id,
      state,
      status,
      owner: "client:dev",
      attempts: [{ n: 1, status }],
    });
    await expect(verifyCallback(request(`${call.body} `), bench.edge)).rejects.toThrow("didn't sign");
    // What it is told of is known by its own id, and the callback by another.
    expect(call.headers["webhook-id"]).not.toBe(id);
    await bench.tls.request();
  });
});

describe("what comes twice", () => {
  test("by the same token, is stored once", async () => {
    const call = { method: "POST", url: `${url}/once`, framing: 2, claims: { act: "enqueue" } } as const;
    const wire = await enveloped(bench.relayUrl, call);
    const all = await Promise.all(Array.from({ length: 10 }, () => sendOver(bench.relayUrl, wire, "{}")));
    expect(all.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([...Array(9).fill(200), 202]);
    expect(new Set(all.map(({ json }) => json["id"])).size).toBe(1);
    await untilSo(bench.relayUrl, all[0]!.json["id"], ({ state }) => state === "delivered");
    await bench.tls.request();
    expect(bench.tls.unasked).toBe(0);
    const other = await sendOver(bench.relayUrl, wire, "[]");
    expect([other.status, other.code]).toEqual([409, "delivery_conflict"]);
  });

  test("by the same key, is the same one, and a conflict where it differs", async () => {
    const call = { method: "POST", url: `${url}/keyed`, framing: 2 };
    const first = await handOver(bench.relayUrl, call, "{}", { key: "order-1" });
    const second = await handOver(bench.relayUrl, call, "{}", { key: "order-1" });
    expect([first.status, second.status, second.json]).toEqual([
      202,
      200,
      { id: first.json["id"], status: "duplicate" },
    ]);
    const body = await handOver(bench.relayUrl, call, "[]", { key: "order-1" });
    const target = await handOver(bench.relayUrl, { ...call, url: `${url}/other` }, "{}", { key: "order-1" });
    expect([body.code, target.code]).toEqual(["delivery_conflict", "delivery_conflict"]);
    await bench.tls.request();
  });

  test("and was given up, is made once more", async () => {
    bench.tls.next(answer("410 Gone"));
    const call = { method: "POST", url, framing: 2 };
    const first = await handOver(bench.relayUrl, call, "{}", { key: "order-2", schedule: [0] });
    await untilSo(bench.relayUrl, first.json["id"], ({ state }) => state === "dead");
    const second = await handOver(bench.relayUrl, call, "{}", { key: "order-2", schedule: [0] });
    expect([second.status, second.json]).toEqual([200, { id: first.json["id"], status: "revived" }]);
    await untilSo(bench.relayUrl, first.json["id"], ({ state }) => state === "delivered");
    await bench.tls.request();
    await bench.tls.request();
  });
});

describe("what is refused at once", () => {
  test.for([
    ["a target that is not allowed", { url: "https://localhost:1/" }, {}, 403, "target_not_allowed"],
    ["a callback that is not allowed", {}, { callback: "https://localhost:1/" }, 403, "target_not_allowed"],
    ["a callback that is no URL", {}, { callback: "done" }, 400, "url_invalid"],
    ["an option that is not known", {}, { callbackUrl: "https://localhost:1/" }, 401, "token_malformed"],
    ["a node of one's choice", { node: "node-1" }, {}, 400, "request_invalid"],
    ["a token for a fetch", { claims: { act: "fetch" } }, {}, 401, "token_act"],
    ["another digest", { digest: `sha-256=:${"A".repeat(43)}=:` }, {}, 400, "body_digest"],
    ["a field that is not end to end", { fields: [["Host", "a.example"]] }, {}, 400, "fields_invalid"],
  ] as const)("%s", async ([, call, delivery, status, code]) => {
    const claims = { act: "enqueue", delivery, ...("claims" in call && call.claims) } as never;
    const wire = await enveloped(bench.relayUrl, { method: "POST", url, framing: 2, ...call, claims });
    const told = await sendOver(bench.relayUrl, wire, "{}");
    expect([told.status, told.code]).toEqual([status, code]);
    expect(bench.tls.unasked).toBe(0);
  });

  test("a body that is too long, by its length alone", async () => {
    const framing = 25 * 1_048_576 + 1;
    const wire = await enveloped(bench.relayUrl, {
      method: "POST",
      url,
      framing,
      claims: { act: "enqueue" },
    });
    const call = await EdgeCall.begin(bench.edge, wire, "/deliveries");
    expect((await call.head).start).toContain("413");
    call.destroy();
  });

  test.for([["chunked"], [2_000_000]] as const)(
    "a body of framing %s that breaks off is stored nowhere",
    async ([framing]) => {
      const wire = await enveloped(bench.relayUrl, {
        method: "POST",
        url,
        framing,
        claims: { act: "enqueue" },
      });
      for (const end of ["reset", "halfClose"] as const) {
        const call = await EdgeCall.begin(bench.edge, wire, "/deliveries");
        await call.send(new Uint8Array(1_500_000));
        await sleep(300);
        call[end]();
        await call.ended;
        call.destroy();
      }
      await sleep(500);
      expect(bench.tls.unasked).toBe(0);
      // By the very same token, whole at last: it would be a duplicate of what broke off.
      const told = await sendOver(bench.relayUrl, wire, new Uint8Array(2_000_000));
      expect(told.status).toBe(202);
      const exchange = await bench.tls.request();
      await exchange.ended;
      expect(exchange.body.bytes).toBe(2_000_000);
    },
  );
});

test("nobody hears of another client's delivery", async () => {
  const told = await handOver(bench.relayUrl, { method: "POST", url, framing: 2 }, "{}");
  await bench.tls.request();
  const key = await generateClientKey();
  const record = { id: "other", keys: [key.publicJwk], allow: [url] };
  await adminCall(bench.stack.operator, "PUT", "/admin/clients/other", { body: record });
  const id = told.json["id"] as string;
  const other = bench.relayUrl.replace(/\/\/.*@/, `//other:${key.privateKey}@`);
  expect((await askAbout(other, id)).status).toBe(404);
  expect((await askAbout(bench.relayUrl, `${id.slice(0, -1)}${id.endsWith("A") ? "Q" : "A"}`)).status).toBe(
    404,
  );
  expect((await askAbout(bench.relayUrl, id)).status).toBe(200);
});

interface Callback {
  readonly method: string;
  readonly url: string | undefined;
  /** The address that it came from. */
  readonly from: string | undefined;
  readonly headers: Record<string, string>;
  readonly body: string;
}

interface CallbackTarget {
  readonly url: string;
  next(): Promise<Callback>;
  close(): void;
}

async function startCallbacks(): Promise<CallbackTarget> {
  const port = await freePort();
  const come: Callback[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { method = "", url: path, headers, socket } = request;
      come.push({
        method,
        url: path,
        from: socket.remoteAddress,
        headers: headers as Record<string, string>,
        body: Buffer.concat(parts).toString(),
      });
      response.end();
    });
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://localhost:${port}`,
    async next() {
      while (come.length === 0) await sleep(20);
      return come.shift()!;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
