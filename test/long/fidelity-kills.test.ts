import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Bench, failureOf, FORMS, sleep, startBench } from "../support/fidelity.ts";
import { HEADS, part } from "../support/partial.ts";
import type { OriginExchange } from "../support/raw-origin.ts";
import { EdgeCall } from "../support/raw-caller.ts";

/** A process of the relay's that is killed leaves broken bodies behind, and no short ones that look whole. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

/** A break must show within this time. */
const BROKEN_MS = 1_000;

describe.each(["node-1", "edge"])("%s is killed", (victim) => {
  afterEach(async () => {
    if (victim === "edge") {
      await bench.stop();
      bench = await startBench();
    } else {
      await bench.stack.restartNode(victim);
    }
  });

  test.each(["length", "chunked", "close"] as const)("in mid-answer, framed by %s", async (framing) => {
    const script = (exchange: OriginExchange) => exchange.send(HEADS[framing] + part(framing));
    bench.tls.next(script);
    bench.tls.next(script);
    bench.tls.next(script);
    const response = await bench.relay.fetch(bench.tls.url);
    const exchange = await bench.tls.request();
    const calls = await Promise.all(
      FORMS.map(async ({ wire }) =>
        EdgeCall.begin(bench.edge, await wire(bench.relayUrl, { method: "GET", url: bench.tls.url })),
      ),
    );
    for (const call of calls) while (call.body.bytes === 0) await sleep(5);
    const killed = performance.now();
    bench.stack.process(victim).kill("SIGKILL");
    const error = await failureOf(response.text());
    expect(error.code).toBe("answer_cut");
    for (const { ended, body } of calls) {
      await ended;
      expect([body.whole, body.content.toString()]).toEqual([false, "a part"]);
    }
    expect((await exchange.closed) - killed).toBeLessThan(BROKEN_MS);
    await bench.tls.request();
    await bench.tls.request();
  });

  test.each(["chunked", 100_000] as const)("in mid-upload, framed by %s", async (framing) => {
    const script = () => {};
    for (const { wire } of FORMS) {
      bench.tls.next(script);
      const call = await EdgeCall.begin(
        bench.edge,
        await wire(bench.relayUrl, { method: "POST", url: bench.tls.url, framing }),
      );
      await call.send("a part");
    }
    const exchanges = [await bench.tls.request(), await bench.tls.request()];
    for (const { body } of exchanges) while (body.bytes === 0) await sleep(5);
    const killed = performance.now();
    bench.stack.process(victim).kill("SIGKILL");
    for (const { closed, body } of exchanges) {
      expect((await closed) - killed).toBeLessThan(BROKEN_MS);
      expect([body.whole, body.content.toString()]).toEqual([false, "a part"]);
    }
  });
});
