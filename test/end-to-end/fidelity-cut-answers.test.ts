import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay } from "../../client/index.ts";
import { type Bench, failureOf, FORMS, sleep, startBench } from "../support/fidelity.ts";
import { Hop } from "../support/hop.ts";
import { END_STREAM, FRAME, FrameOrigin } from "../support/http2-frames.ts";
import { HEADS, part } from "../support/partial.ts";
import type { OriginExchange, RawOrigin } from "../support/raw-origin.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";
import { freePort } from "../support/stack.ts";

/** An answer that breaks on its way is broken at its end: never a short one that looks whole. */

let bench: Bench;
let h2: FrameOrigin;
beforeAll(async () => {
  const port = await freePort();
  bench = await startBench([`https://localhost:${port}`]);
  h2 = await FrameOrigin.start(port, bench.stack.keys);
});
afterAll(async () => {
  await bench.stop();
  await h2.close();
});

describe("a target that dies in mid-answer", () => {
  const origins: Record<string, () => RawOrigin> = { https: () => bench.tls, http: () => bench.plain };
  const ends = {
    "its process killed": (exchange: OriginExchange) => exchange.die(),
    "its connection reset": (exchange: OriginExchange) => exchange.reset(),
    "its connection closed in good order": async (exchange: OriginExchange) => exchange.finish(),
  };
  const cases = Object.keys(origins).flatMap((scheme) =>
    (["length", "chunked", "close"] as const).flatMap((framing) =>
      (Object.keys(ends) as (keyof typeof ends)[])
        // Where its connection's end is the body's, a good end is no cut.
        .filter((how) => framing !== "close" || how === "its connection reset")
        .map((how) => ({ scheme, framing, how })),
    ),
  );

  test.each(cases)("$scheme, framed by $framing, $how", async ({ scheme, framing, how }) => {
    const origin = origins[scheme]!();
    const script = async (exchange: OriginExchange) => {
      await exchange.send(HEADS[framing] + part(framing));
      await sleep(20);
      await ends[how](exchange);
    };
    origin.next(script);
    const response = await bench.relay.fetch(origin.url);
    const error = await failureOf(response.text());
    expect([error.code, error.reached]).toEqual(["answer_cut", "yes"]);
    await origin.request();
    for (const { wire } of FORMS) {
      origin.next(script);
      const { body } = await EdgeCall.make(
        bench.edge,
        await wire(bench.relayUrl, { method: "GET", url: origin.url }),
      );
      expect([body.whole, body.content.toString()]).toEqual([false, "a part"]);
      await origin.request();
    }
  });

  // Node says nothing of a TLS connection that ends without close_notify (RFC 9112 section 9.8), and over plain http there
  // is nothing to be said: then a body without length or chunks has ended as such bodies do.
  test.each(["https", "http"])(
    "a named exception: %s, framed by the connection's end alone, its process killed",
    async (scheme) => {
      const origin = origins[scheme]!();
      origin.next(async (exchange) => {
        await exchange.send(HEADS.close + part("close"));
        await exchange.die();
      });
      const response = await bench.relay.fetch(origin.url);
      expect(await response.text()).toBe("a part");
      await origin.request();
    },
  );

  test.each([
    { what: "before a byte of its answer", text: "" },
    { what: "within its status line", text: "HTTP/1.1 20" },
    { what: "within its head", text: "HTTP/1.1 200 OK\r\nContent-Le" },
    { what: "within an interim answer", text: "HTTP/1.1 100 Conti" },
    { what: "after an interim answer", text: "HTTP/1.1 100 Continue\r\n\r\n" },
  ])("$what", async ({ text }) => {
    bench.tls.next(async (exchange) => {
      await exchange.send(text);
      await exchange.die();
    });
    // POST, so that nothing is sent twice.
    const error = await failureOf(bench.relay.fetch(bench.tls.url, { method: "POST" }));
    expect([error.code, error.reached, error.retryable]).toEqual(["target_closed", "unknown", false]);
    await bench.tls.request();
    expect(bench.tls.unasked).toBe(0);
  });

  test.each([
    ["NO_ERROR", 0],
    ["INTERNAL_ERROR", 2],
    ["CANCEL", 8],
  ])("of HTTP/2, its stream reset with %s", async (_name, code) => {
    h2.clear();
    const call = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "GET", url: h2.url }),
    );
    const { stream } = await h2.frame(({ type }) => type === FRAME.headers);
    h2.answer(stream);
    h2.data(stream, "a part");
    await call.head;
    while (call.body.bytes === 0) await sleep(5);
    h2.reset(stream, code);
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([false, "a part"]);
  });

  test("of HTTP/2, its stream reset after its end, is whole", async () => {
    h2.clear();
    const call = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "GET", url: h2.url }),
    );
    const { stream } = await h2.frame(({ type }) => type === FRAME.headers);
    h2.answer(stream);
    h2.data(stream, "all of it", END_STREAM);
    h2.reset(stream, 0);
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, "all of it"]);
  });
});

describe("the network between client and edge breaks", () => {
  const cases = (["fin", "reset"] as const).flatMap((how) =>
    (["length", "chunked", "close"] as const).map((framing) => ({ how, framing })),
  );
  test.each(cases)("in mid-answer, framed by $framing, by $how", async ({ how, framing }) => {
    const hop = await Hop.before(bench.edge);
    bench.tls.next((exchange) => exchange.send(HEADS[framing] + part(framing)));
    const relay = createRelay(bench.relayUrl, { fetch: hop.fetch });
    const response = await relay.fetch(bench.tls.url);
    await sleep(50);
    hop.break(how);
    const error = await failureOf(response.text());
    expect(error.code).toBe("answer_cut");
    await bench.tls.request();
    hop.close();
  });
});
