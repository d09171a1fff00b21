import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { relayInfo } from "../../client/index.ts";
import type { Field } from "../../protocol/headers.ts";
import { type Bench, failureOf, sleep, startBench } from "../support/fidelity.ts";
import { Http2Origin, type Http2Script } from "../support/http2-origin.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";
import { freePort } from "../support/stack.ts";

/** What our client sees of a target that chooses HTTP/2. */

let bench: Bench;
let origin: Http2Origin;
beforeAll(async () => {
  const port = await freePort();
  bench = await startBench([`https://localhost:${port}`]);
  origin = await Http2Origin.start(port, bench.stack.keys);
});
afterAll(async () => {
  await bench.stop();
  await origin.close();
});

async function answered(script: Http2Script, init: RequestInit = {}) {
  origin.next(script);
  const response = await bench.relay.fetch(origin.url, init).finally(() => void origin.request());
  // Node's server adds a date to what it is told to send.
  return { response, fields: relayInfo(response)!.fields.filter(([name]) => name !== "date") };
}

describe("answers", () => {
  test.each([200, 204, 299, 304, 404, 418, 502, 599])("status %i, which has no reason", async (status) => {
    const { response, fields } = await answered(({ stream }) => {
      stream.respond({ ":status": status, "x-a": "1" }, { endStream: true });
    });
    expect([response.status, response.statusText, await response.text()]).toEqual([status, "", ""]);
    expect(fields).toEqual([["x-a", "1"]]);
  });

  test("fields in their order, with repeats and bytes over 0x7F; the relay's own names removed", async () => {
    const raw = [
      "set-cookie",
      "a=1; x",
      "x-high",
      "\xe9\xff",
      "x-a",
      "1",
      "relay-status",
      "forged",
      "set-cookie",
      "b=2",
      "x-a",
      "2",
      "proxy-status",
      "x",
      "vary",
      "a",
      "relay-error",
      "x",
    ];
    const { response, fields } = await answered(({ stream }) => {
      stream.respond([":status", "200", ...raw]);
      stream.end("ok");
    });
    const all = raw.flatMap((text, i): Field[] => (i % 2 === 0 ? [[text, raw[i + 1]!]] : []));
    expect(fields).toEqual(all.filter(([name]) => !name.startsWith("relay-")));
    expect(response.headers.getSetCookie()).toEqual(["a=1; x", "b=2"]);
    expect(await response.text()).toBe("ok");
  });

  test("a field of 20 kB", async () => {
    const big = "b".repeat(20_480);
    const { response, fields } = await answered(({ stream }) => {
      stream.respond({ ":status": 200, "x-big": big });
      stream.end("ok");
    });
    expect(fields).toEqual([["x-big", big]]);
    expect(await response.text()).toBe("ok");
  });

  test("HEAD, with the length of what it stands for", async () => {
    const { response, fields } = await answered(
      ({ stream }) => stream.respond({ ":status": 200, "content-length": "5000" }, { endStream: true }),
      { method: "HEAD" },
    );
    expect(fields).toEqual([["content-length", "5000"]]);
    expect(response.body).toBeNull();
  });

  test("interim answers and trailers: dropped", async () => {
    const { response, fields } = await answered(({ stream }) => {
      stream.additionalHeaders({ ":status": 103, link: "x" });
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
      stream.end("ok");
    });
    expect([response.status, await response.text(), fields]).toEqual([200, "ok", []]);
  });

  test("10 MB each way at once, on connections of their own", async () => {
    const bytes = randomBytes(10_000_000);
    const hash = createHash("sha256").update(bytes).digest("hex");
    const calls = Array.from({ length: 4 }, async () => {
      origin.next(async ({ stream, ended }) => {
        stream.respond({ ":status": 200, "content-length": String(bytes.length) });
        stream.write(bytes.subarray(0, -1));
        await ended;
        stream.end(bytes.subarray(-1));
      });
      const response = await bench.relay.fetch(origin.url, { method: "POST", body: bytes });
      const back = Buffer.from(await response.arrayBuffer());
      return createHash("sha256").update(back).digest("hex");
    });
    expect(await Promise.all(calls)).toEqual([hash, hash, hash, hash]);
    for (const _ of calls) {
      const { body, ended } = await origin.request();
      await ended;
      expect([body.whole, body.sha256]).toEqual([true, hash]);
    }
  });

  test("one that begins and ends before its request does", async () => {
    origin.next(({ stream }) => {
      // Once some of the body is there: what an answer overtakes altogether is not sent at all.
      stream.once("data", () => {
        stream.respond({ ":status": 413 });
        stream.end("stop");
      });
    });
    const call = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "POST", url: origin.url, framing: "chunked" }),
    );
    await call.send("some of it");
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, "stop"]);
    call.destroy();
    const { body, closed } = await origin.request();
    await closed;
    expect(body.content.toString()).toBe("some of it");
  });
});

describe("what breaks", () => {
  test("a body shorter than its length", async () => {
    const { response } = await answered(({ stream }) => {
      stream.respond({ ":status": 200, "content-length": "100" });
      stream.end("a part");
    });
    await expect(response.text()).rejects.toMatchObject({ code: "answer_cut" });
  });

  test("a connection that is lost in mid-answer, and the next request goes on", async () => {
    const { response } = await answered(({ stream, session }) => {
      stream.respond({ ":status": 200 });
      stream.write("a part");
      setTimeout(() => session.destroy(), 50);
    });
    await expect(response.text()).rejects.toMatchObject({ code: "answer_cut" });
    const again = await bench.relay.fetch(origin.url);
    expect(await again.text()).toBe("ok");
    await origin.request();
  });

  test("a stream that is reset before its answer", async () => {
    // POST, so that nothing is sent twice.
    const error = await failureOf(answered(({ stream }) => stream.close(2), { method: "POST" }));
    expect([error.code, error.reached]).toEqual(["target_closed", "unknown"]);
  });

  test("a client that goes away, within a second", async () => {
    origin.next(async ({ stream }) => {
      stream.respond({ ":status": 200 });
      for (; !stream.destroyed; await sleep(50)) stream.write(".");
    });
    const response = await bench.relay.fetch(origin.url);
    const exchange = await origin.request();
    const left = performance.now();
    await response.body!.cancel();
    await exchange.closed;
    expect(performance.now() - left).toBeLessThan(1_000);
  });

  test("an upload that is cut takes no other exchange with it", async () => {
    origin.next(() => {});
    const wire = await enveloped(bench.relayUrl, { method: "POST", url: origin.url, framing: "chunked" });
    const upload = await EdgeCall.begin(bench.edge, wire);
    await upload.send("a part");
    const cut = await origin.request();
    const meanwhile = await bench.relay.fetch(origin.url);
    expect(await meanwhile.text()).toBe("ok");
    expect((await origin.request()).session).not.toBe(cut.session);
    upload.reset();
    await cut.closed;
  });

  test("one exchange's end leaves the others on its connection alone", async () => {
    origin.next(async ({ stream }) => {
      stream.respond({ ":status": 200 });
      for (let i = 0; i < 10; i++) {
        stream.write("x");
        await sleep(30);
      }
      stream.end();
    });
    const slow = await bench.relay.fetch(origin.url);
    const { session } = await origin.request();
    origin.next(({ stream }) => {
      stream.respond({ ":status": 200 });
      stream.write("a part");
    });
    const given = await bench.relay.fetch(origin.url);
    expect((await origin.request()).session).toBe(session);
    await given.body!.cancel();
    // An upload gets a connection for itself: where it is cut, its connection goes with it.
    const upload = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "POST", url: origin.url, framing: "chunked" }),
    );
    origin.next(() => {});
    await upload.send("a part");
    const cut = await origin.request();
    expect(cut.session).not.toBe(session);
    upload.reset();
    await cut.closed;
    expect(await slow.text()).toBe("xxxxxxxxxx");
  });
});
