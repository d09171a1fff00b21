import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, FORMS, sleep, startBench } from "../support/fidelity.ts";
import type { OriginExchange } from "../support/raw-origin.ts";
import { EdgeCall } from "../support/raw-caller.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

/** How soon a target must see that its client has gone. */
const GONE_MS = 1_000;

describe("a client that goes away takes its target's connection with it, within a second", () => {
  /** Sends a byte every 50 ms for as long as somebody listens. */
  const ticking = async (exchange: OriginExchange) => {
    await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (; exchange.open; await sleep(50)) await exchange.send("1\r\n.\r\n");
  };

  test("our client, by its signal", async () => {
    bench.tls.next(ticking);
    const abort = new AbortController();
    const response = await bench.relay.fetch(bench.tls.url, { signal: abort.signal });
    const exchange = await bench.tls.request();
    const reader = response.body!.getReader();
    await reader.read();
    const left = performance.now();
    abort.abort();
    expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
  });

  // workerd takes a client's FIN for the end of its request and no more, and learns by writing that nobody reads any longer.
  // So our client says it in words.
  test("our client, by its signal, while the target is silent before its answer", async () => {
    bench.tls.next(() => new Promise(() => {}));
    const abort = new AbortController();
    const response = bench.relay.fetch(bench.tls.url, { signal: abort.signal });
    response.catch(() => {});
    const exchange = await bench.tls.request();
    const left = performance.now();
    abort.abort();
    await expect(response).rejects.toThrow("aborted");
    expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
  });

  test.each(["its signal", "giving up the body"])(
    "our client, by %s, while the target is silent in mid-answer",
    async (how) => {
      bench.tls.next((exchange) =>
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n"),
      );
      const abort = new AbortController();
      const response = await bench.relay.fetch(bench.tls.url, { signal: abort.signal });
      const exchange = await bench.tls.request();
      const reader = response.body!.getReader();
      await reader.read();
      const left = performance.now();
      if (how === "its signal") abort.abort();
      else await reader.cancel();
      expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
    },
  );

  test("a named exception: who closes its socket without a word, while the target is silent, at the first byte that it sends", async () => {
    let speak = () => {};
    bench.tls.next(async (exchange) => {
      await new Promise<void>((resolve) => (speak = resolve));
      await ticking(exchange);
    });
    const call = await EdgeCall.begin(
      bench.edge,
      await FORMS[0].wire(bench.relayUrl, { method: "GET", url: bench.tls.url }),
    );
    const exchange = await bench.tls.request();
    call.destroy();
    expect(await Promise.race([exchange.closed, sleep(500)])).toBeUndefined();
    const spoke = performance.now();
    speak();
    expect((await exchange.closed) - spoke).toBeLessThan(GONE_MS);
  });

  test("our client, by giving up the body", async () => {
    bench.tls.next(ticking);
    const response = await bench.relay.fetch(bench.tls.url);
    const exchange = await bench.tls.request();
    const left = performance.now();
    await response.body!.cancel();
    expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
  });

  test("while the target sends as fast as it can", async () => {
    bench.tls.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      while (exchange.open) await exchange.send("10000\r\n", Buffer.alloc(65_536), "\r\n");
    });
    const response = await bench.relay.fetch(bench.tls.url);
    const exchange = await bench.tls.request();
    const reader = response.body!.getReader();
    await reader.read();
    // Everything in between has filled up.
    await sleep(300);
    const left = performance.now();
    await reader.cancel();
    expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
  });

  for (const { form, wire } of FORMS) {
    test(`${form}, by closing its socket`, async () => {
      bench.tls.next(ticking);
      const call = await EdgeCall.begin(
        bench.edge,
        await wire(bench.relayUrl, { method: "GET", url: bench.tls.url }),
      );
      await call.head;
      const exchange = await bench.tls.request();
      const left = performance.now();
      call.destroy();
      expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
    });

    test.each([
      { when: "before the head", head: false },
      { when: "in mid-body", head: true },
    ])(`${form}, by a reset, $when`, async ({ head }) => {
      bench.tls.next(async (exchange) => {
        if (head) await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n");
      });
      const call = await EdgeCall.begin(
        bench.edge,
        await wire(bench.relayUrl, { method: "GET", url: bench.tls.url }),
      );
      const exchange = await bench.tls.request();
      if (head) await call.head;
      const left = performance.now();
      call.reset();
      expect((await exchange.closed) - left).toBeLessThan(GONE_MS);
    });
  }
});
