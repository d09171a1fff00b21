import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, FORMS, sleep, startBench } from "../support/fidelity.ts";
import { Http2Origin } from "../support/http2-origin.ts";
import { EdgeCall, enveloped, raw } from "../support/raw-caller.ts";
import { freePort } from "../support/stack.ts";

/** Bodies that take their time, and large ones, through the whole path. */

let bench: Bench;
let h2: Http2Origin;
beforeAll(async () => {
  const port = await freePort();
  bench = await startBench([`https://localhost:${port}`]);
  h2 = await Http2Origin.start(port, bench.stack.keys);
});
afterAll(async () => {
  await bench.stop();
  await h2.close();
});

describe("events arrive one by one, each in time", () => {
  const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
  const EVENTS = Array.from({ length: 5 }, (_, i) => `id: ${i}\ndata: ${"x".repeat(i)}\n\n`);

  test.each([
    {
      what: "in chunks",
      head: `${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
      frame: (event: string) => `${event.length.toString(16)}\r\n${event}\r\n`,
      last: "0\r\n\r\n",
    },
    {
      what: "up to the connection's end",
      head: `${HEAD}Connection: close\r\n\r\n`,
      frame: (event: string) => event,
      last: undefined,
    },
    {
      what: "with a length",
      head: `${HEAD}Content-Length: ${EVENTS.join("").length}\r\n\r\n`,
      frame: (event: string) => event,
      last: "",
    },
  ])("$what, through our client", async ({ head, frame, last }) => {
    // Each event is sent when the one before has arrived, the first when the head has: who waited for more would wait for ever.
    const steps = [...EVENTS, ""].map(() => Promise.withResolvers<void>());
    bench.tls.next(async (exchange) => {
      await exchange.send(head);
      for (const [i, event] of EVENTS.entries()) {
        await steps[i]!.promise;
        await exchange.send(frame(event));
      }
      await steps[EVENTS.length]!.promise;
      if (last === undefined) exchange.finish();
      else await exchange.send(last);
    });
    const response = await bench.relay.fetch(bench.tls.url);
    steps[0]!.resolve();
    const got: string[] = [];
    for await (const chunk of response.body!) {
      got.push(Buffer.from(chunk).toString());
      steps[got.length]!.resolve();
    }
    expect(got).toEqual(EVENTS);
    await bench.tls.request();
  });

  test("for a raw caller", async () => {
    const steps = [...EVENTS, ""].map(() => Promise.withResolvers<void>());
    bench.tls.next(async (exchange) => {
      await exchange.send(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
      for (const [i, event] of EVENTS.entries()) {
        await steps[i]!.promise;
        await exchange.send(`${event.length.toString(16)}\r\n${event}\r\n`);
      }
      await steps[EVENTS.length]!.promise;
      await exchange.send("0\r\n\r\n");
    });
    const call = await EdgeCall.begin(
      bench.edge,
      await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
    );
    let text = "";
    for (const [i, event] of [...EVENTS, ""].entries()) {
      while (call.body.content.toString() !== text) await sleep(5);
      text += event;
      steps[i]!.resolve();
    }
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, EVENTS.join("")]);
    await bench.tls.request();
  });

  test.each(FORMS)("and so do an upload's pieces, $form", async ({ wire }) => {
    const call = await EdgeCall.begin(
      bench.edge,
      await wire(bench.relayUrl, { method: "POST", url: bench.tls.url, framing: "chunked" }),
    );
    let text = "";
    await call.send(EVENTS[0]!);
    const exchange = await bench.tls.request();
    for (const event of EVENTS.slice(1)) {
      text = exchange.body.content.toString();
      await call.send(event);
      while (exchange.body.content.toString() === text) await sleep(5);
    }
    call.finish();
    await call.ended;
    expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([true, EVENTS.join("")]);
  });
});

describe("an answer may begin, and end, before its request's body does", () => {
  test.each(FORMS)("echoed piece by piece, $form", async ({ wire }) => {
    bench.tls.next(async (exchange) => {
      await exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (let seen = 0; !exchange.body.whole; await sleep(5)) {
        const news = exchange.body.content.subarray(seen);
        seen += news.length;
        if (news.length > 0) await exchange.send(`${news.length.toString(16)}\r\n`, news, "\r\n");
      }
      await exchange.send("0\r\n\r\n");
    });
    const call = await EdgeCall.begin(
      bench.edge,
      await wire(bench.relayUrl, { method: "POST", url: bench.tls.url, framing: "chunked" }),
    );
    for (const piece of ["one ", "two ", "three"]) {
      const before = call.body.bytes;
      await call.send(piece);
      await call.head;
      while (call.body.bytes < before + piece.length) await sleep(5);
    }
    call.finish();
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, "one two three"]);
    await bench.tls.request();
  });

  test.each(FORMS)("whole, while the upload goes on, $form", async ({ wire }) => {
    bench.tls.next((exchange) => exchange.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop"));
    const call = await EdgeCall.begin(
      bench.edge,
      await wire(bench.relayUrl, { method: "POST", url: bench.tls.url, framing: 10_000_000 }),
    );
    await call.send("some of it");
    await call.head;
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, "stop"]);
    const { body } = await bench.tls.request();
    expect(body.whole).toBe(false);
    call.destroy();
  });
});

describe("100 MB arrive as they were sent", () => {
  const PIECE = randomBytes(1_000_000);
  const PIECES = 100;
  const expected = (() => {
    const hash = createHash("sha256");
    for (let i = 0; i < PIECES; i++) hash.update(PIECE);
    return hash.digest("hex");
  })();
  const LENGTH = PIECE.length * PIECES;

  test.each(["length", "chunked"] as const)("down, framed by %s", async (framing) => {
    bench.tls.next(async (exchange) => {
      const line = framing === "length" ? `Content-Length: ${LENGTH}` : "Transfer-Encoding: chunked";
      await exchange.send(`HTTP/1.1 200 OK\r\n${line}\r\n\r\n`);
      for (let i = 0; i < PIECES; i++) {
        if (framing === "chunked") await exchange.send(`${PIECE.length.toString(16)}\r\n`);
        await exchange.send(PIECE);
        if (framing === "chunked") await exchange.send("\r\n");
      }
      if (framing === "chunked") await exchange.send("0\r\n\r\n");
    });
    const response = await bench.relay.fetch(bench.tls.url);
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of response.body!) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    expect([bytes, hash.digest("hex")]).toEqual([LENGTH, expected]);
    await bench.tls.request();
  });

  test.each([LENGTH, "chunked"] as const)("up, framed by %s", async (framing) => {
    const call = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "POST", url: bench.tls.url, framing }),
    );
    for (let i = 0; i < PIECES; i++) await call.send(PIECE);
    if (framing === "chunked") call.finish();
    await call.ended;
    expect(call.body.content.toString()).toBe("ok");
    const { body, head } = await bench.tls.request();
    expect(head.framing).toBe(framing);
    expect([body.whole, body.bytes, body.sha256]).toEqual([true, LENGTH, expected]);
  });

  test("up through our client, from a stream, to a target of HTTP/2", async () => {
    let left = PIECES;
    const stream = new ReadableStream({
      pull: (controller) => {
        if (left-- > 0) controller.enqueue(PIECE);
        else controller.close();
      },
    });
    const response = await bench.relay.fetch(h2.url, {
      method: "PUT",
      body: stream,
      duplex: "half",
    } as RequestInit);
    expect(await response.text()).toBe("ok");
    const { body } = await h2.request();
    expect([body.whole, body.bytes, body.sha256]).toEqual([true, LENGTH, expected]);
  });
});
