import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../client/index.ts";
import { answered, says } from "../support/answered.ts";
import { type Bench, failureOf, sleep, startBench } from "../support/fidelity.ts";
import type { OriginExchange } from "../support/raw-origin.ts";

/** Answers that come before the final one, and what is no answer at all. */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

describe("interim answers are passed over", () => {
  const FINAL = "HTTP/1.1 200 At Last\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok";
  const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
  const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: no=1\r\n\r\n";
  const whole = (text: string) => says(text);
  const bytewise = (text: string) => async (exchange: OriginExchange) => {
    for (const character of text) {
      await exchange.send(character);
      // Each in a TLS record and a packet of its own.
      await sleep(1);
    }
  };
  test.each([
    { what: "an unasked 100", script: whole(CONTINUE + FINAL) },
    { what: "102 and 103", script: whole(`HTTP/1.1 102 Processing\r\n\r\n${HINTS}${FINAL}`) },
    { what: "100, 103, 100, byte by byte", script: bytewise(CONTINUE + HINTS + CONTINUE + FINAL) },
    {
      what: "a 100 with fields and no reason",
      script: whole(`HTTP/1.1 100\r\nX-Interim: 1\r\n\r\n${FINAL}`),
    },
    {
      what: "a 100 in a packet of its own",
      script: async (exchange: OriginExchange) => {
        await exchange.send(CONTINUE);
        await sleep(50);
        await exchange.send(FINAL);
      },
    },
    { what: "fifty of them", script: whole(HINTS.repeat(50) + FINAL) },
  ])("$what", async ({ script }) => {
    const { response, fields } = await answered(bench, script);
    expect([response.status, response.statusText, await response.text()]).toEqual([200, "At Last", "ok"]);
    expect(fields).toEqual([
      ["X-A", "1"],
      ["Content-Length", "2"],
    ]);
  });

  test("a 100 before the request's body has ended, on a connection that serves again", async () => {
    for (const round of [1, 2]) {
      bench.tls.next(async (exchange) => {
        await exchange.send(CONTINUE);
        await exchange.ended;
        await exchange.send(FINAL);
      });
      const stream = new ReadableStream({
        start: async (controller) => {
          controller.enqueue(Buffer.from("one"));
          await sleep(50);
          controller.enqueue(Buffer.from(`two ${round}`));
          controller.close();
        },
      });
      const response = await bench.relay.fetch(bench.tls.url, {
        method: "POST",
        body: stream,
        duplex: "half",
      } as RequestInit);
      expect(await response.text()).toBe("ok");
      const { body } = await bench.tls.request();
      expect([body.whole, body.content.toString()]).toEqual([true, `onetwo ${round}`]);
    }
  });

  test("bytes that look like an interim answer are left in a body", async () => {
    const { response } = await answered(
      bench,
      says(`HTTP/1.1 200 OK\r\nContent-Length: ${CONTINUE.length}\r\n\r\n`, CONTINUE),
    );
    expect(await response.text()).toBe(CONTINUE);
  });
});

describe("what is no valid answer is a typed failure, and is not asked for twice", () => {
  const ok = "Content-Length: 2\r\n\r\nok";
  test.each<[string, string, ErrorCode]>([
    ["a page without a head", "hello\r\n\r\n", "target_protocol"],
    ["a folded field", `HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\n${ok}`, "target_protocol"],
    ["a NUL in a value", `HTTP/1.1 200 OK\r\nX-A: a\0b\r\n${ok}`, "target_protocol"],
    ["a bare CR in a value", `HTTP/1.1 200 OK\r\nX-A: a\rb\r\n${ok}`, "target_protocol"],
    ["a space in a name", `HTTP/1.1 200 OK\r\nX A: a\r\n${ok}`, "target_protocol"],
    [
      "length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
      "target_protocol",
    ],
    [
      "two lengths that differ",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
      "target_protocol",
    ],
    [
      "a length twice in two fields",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
      "target_protocol",
    ],
    ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "target_protocol"],
    [
      "a transfer coding besides chunked",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
      "target_protocol",
    ],
    [
      "an upgrade that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
      "target_protocol",
    ],
    [
      "fields beyond the limit",
      `HTTP/1.1 200 OK\r\nX-Big: ${"b".repeat(140_000)}\r\n${ok}`,
      "target_fields_too_large",
    ],
    [
      "fields beyond the parser's limit",
      `HTTP/1.1 200 OK\r\nX-Big: ${"b".repeat(300_000)}\r\n${ok}`,
      "target_fields_too_large",
    ],
  ])("%s", async (_what, text, code) => {
    // On a connection that has served, where a retry would be at hand.
    await answered(bench, says(`HTTP/1.1 200 OK\r\n${ok}`));
    const { connections } = bench.tls;
    const error = await failureOf(answered(bench, says(text)));
    expect([error.code, error.reached, error.retryable]).toEqual([code, "yes", false]);
    expect(bench.tls.unasked).toBe(0);
    expect(bench.tls.connections).toBe(connections);
  });

  test("bytes after an answer's end never get into the next answer", async () => {
    for (const _ of [1, 2, 3]) {
      const { response } = await answered(
        bench,
        says(
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Smuggled\r\nContent-Length: 3\r\n\r\nbad",
        ),
      );
      expect([response.statusText, await response.text()]).toEqual(["OK", "ok"]);
    }
  });
});
