import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, FORMS, sleep, startBench } from "../support/fidelity.ts";
import { END_STREAM, FRAME, FrameOrigin } from "../support/http2-frames.ts";
import { EdgeCall, enveloped } from "../support/raw-caller.ts";
import { freePort } from "../support/stack.ts";

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

/** A break must show within this time. */
const BROKEN_MS = 1_000;

describe("a client that dies in mid-upload", () => {
  const kinds = (["destroy", "reset", "halfClose"] as const).flatMap((how) =>
    (["chunked", 100_000] as const).flatMap((framing) =>
      FORMS.map(({ form, wire }) => ({ how, framing, form, wire })),
    ),
  );
  test.each(kinds)("$form, framed by $framing, by $how", async ({ how, framing, wire }) => {
    for (const origin of [bench.tls, bench.plain]) {
      origin.next(() => {});
      const call = await EdgeCall.begin(
        bench.edge,
        await wire(bench.relayUrl, { method: "POST", url: origin.url, framing }),
      );
      await call.send("a part");
      const exchange = await origin.request();
      while (exchange.body.bytes === 0) await sleep(5);
      const died = performance.now();
      call[how]();
      expect((await exchange.closed) - died).toBeLessThan(BROKEN_MS);
      expect([exchange.head.framing, exchange.body.whole, exchange.body.content.toString()]).toEqual([
        framing,
        false,
        "a part",
      ]);
      call.destroy();
    }
  });

  const DIGEST = `sha-256=:${Buffer.alloc(32).toString("base64")}:`;
  test.each([
    {
      what: "with a digest, cut, never reaches a target of HTTP/1.1",
      origin: () => bench.tls.url,
      digest: DIGEST,
    },
    { what: "with a digest, cut, never reaches a target of HTTP/2", origin: () => h2.url, digest: DIGEST },
    { what: "of a known length, cut, never reaches a target", origin: () => bench.tls.url },
  ])("a small body $what", async ({ origin, digest }) => {
    const { connections } = bench.tls;
    h2.clear();
    const wire = await enveloped(bench.relayUrl, {
      method: "POST",
      url: origin(),
      framing: 100,
      ...(digest !== undefined && { digest }),
    });
    const call = await EdgeCall.begin(bench.edge, wire);
    await call.send("a part");
    await sleep(50);
    call.destroy();
    await sleep(150);
    expect([bench.tls.connections, bench.tls.unasked, h2.frames]).toEqual([connections, 0, []]);
  });

  test.each(["chunked", 100_000] as const)(
    "to a target of HTTP/2, framed by %s: its stream is not ended",
    async (framing) => {
      for (const how of ["destroy", "reset", "halfClose"] as const) {
        h2.clear();
        const call = await EdgeCall.begin(
          bench.edge,
          await enveloped(bench.relayUrl, { method: "POST", url: h2.url, framing }),
        );
        await call.send("a part");
        await h2.frame(({ type }) => type === FRAME.data);
        const closed = h2.closed();
        const died = performance.now();
        call[how]();
        expect((await closed) - died).toBeLessThan(BROKEN_MS);
        expect(
          h2.frames
            .filter(({ type }) => type === FRAME.data)
            .map(({ flags, payload }) => [flags, payload.toString()]),
        ).toEqual([[0, "a part"]]);
        call.destroy();
      }
    },
  );

  test("a target of HTTP/2 that has answered already: the rest of the upload is not made up for by an end", async () => {
    h2.clear();
    const call = await EdgeCall.begin(
      bench.edge,
      await enveloped(bench.relayUrl, { method: "POST", url: h2.url, framing: "chunked" }),
    );
    await call.send("a part");
    const { stream } = await h2.frame(({ type }) => type === FRAME.data);
    const closed = h2.closed();
    h2.answer(stream);
    h2.data(stream, "enough", END_STREAM);
    await call.ended;
    expect([call.body.whole, call.body.content.toString()]).toEqual([true, "enough"]);
    await closed;
    expect(
      h2.frames
        .filter(({ type }) => type === FRAME.data)
        .map(({ flags, payload }) => [flags, payload.toString()]),
    ).toEqual([[0, "a part"]]);
    call.destroy();
  });

  const pieces = (then: (controller: ReadableStreamDefaultController) => unknown) => {
    let first = true;
    return new ReadableStream({
      pull: async (controller) => {
        if (first) controller.enqueue(Buffer.from("a part"));
        else await then(controller);
        first = false;
        await sleep(50);
      },
    });
  };

  test("our client, by its signal", async () => {
    bench.tls.next(() => {});
    const abort = new AbortController();
    const init = { method: "POST", body: pieces(() => {}), duplex: "half", signal: abort.signal };
    const response = bench.relay.fetch(bench.tls.url, init);
    response.catch(() => {});
    const exchange = await bench.tls.request();
    while (exchange.body.bytes === 0) await sleep(5);
    const died = performance.now();
    abort.abort();
    expect((await exchange.closed) - died).toBeLessThan(BROKEN_MS);
    expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([false, "a part"]);
    await expect(response).rejects.toThrow("aborted");
  });

  test("our client, whose body's stream fails", async () => {
    bench.tls.next(() => {});
    const came = bench.tls.request();
    const body = pieces(async (controller) => {
      const { body: seen } = await came;
      while (seen.bytes === 0) await sleep(5);
      controller.error(new Error("the disk is gone"));
    });
    const response = bench.relay.fetch(bench.tls.url, {
      method: "POST",
      body,
      duplex: "half",
    } as RequestInit);
    await expect(response).rejects.toThrow("fetch failed");
    const exchange = await came;
    await exchange.closed;
    expect([exchange.body.whole, exchange.body.content.toString()]).toEqual([false, "a part"]);
  });
});
