import { afterAll, beforeAll, expect, test } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { EdgeCall, raw } from "../support/raw-caller.ts";
import { rawRelayed, targetFields } from "../support/raw-relayed.ts";

/**
 * In the raw form the runtime at the edge stands in between: what it alters stands here by name. The enveloped form alters
 * none of it.
 */

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

test("names of a request's fields: lower case; and sorted", async () => {
  const { fields } = await rawRelayed(bench, {
    method: "GET",
    fields: [
      ["X-B", "1"],
      ["Accept", "2"],
      ["x-a", "3"],
    ],
  });
  expect(fields).toEqual([
    ["accept", "2"],
    ["x-a", "3"],
    ["x-b", "1"],
  ]);
});

test("a request's repeats: one field, joined by commas, Cookie too", async () => {
  const { fields } = await rawRelayed(bench, {
    method: "GET",
    fields: [
      ["X-A", "1"],
      ["Cookie", "a=1"],
      ["x-a", "2"],
      ["Cookie", "b=2"],
    ],
  });
  expect(fields).toEqual([
    ["cookie", "a=1, b=2"],
    ["x-a", "1, 2"],
  ]);
});

test("a request's bytes that are no UTF-8: refused, never replaced", async () => {
  const wire = await raw(bench.relayUrl, {
    method: "GET",
    url: bench.tls.url,
    fields: [["X-High", "\xe9"]],
  });
  const { head, body } = await EdgeCall.make(bench.edge, wire);
  expect(head.start).toBe("HTTP/1.1 400 Bad Request");
  expect(JSON.parse(body.content.toString())).toMatchObject({ code: "fields_invalid", reached: "no" });
  expect(bench.tls.unasked).toBe(0);
});

test("fields that proxies and CDNs in front of the edge add: never passed on, whoever sent them", async () => {
  const added = [
    "Via",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Real-IP",
    "True-Client-IP",
    "CDN-Loop",
    "CF-Ray",
    "CF-Anything",
  ];
  const { fields } = await rawRelayed(bench, {
    method: "GET",
    fields: [...added.map((name): Field => [name, "x"]), ["X-Mine", "1"]],
  });
  expect(fields).toEqual([["x-mine", "1"]]);
});

test.each(["FOO", "LINK", "M-SEARCH", "foo", "get"])(
  "the method %s, which it doesn't know: 501 with no mark of the relay",
  async (method) => {
    const { head, body } = await EdgeCall.make(
      bench.edge,
      await raw(bench.relayUrl, { method, url: bench.tls.url }),
    );
    expect(head.start).toBe("HTTP/1.1 501 Not Implemented");
    expect(body.content.toString()).toBe("ERROR: Unrecognized request method.");
    expect(head.fields.some(([name]) => name.toLowerCase().startsWith("relay-"))).toBe(false);
    expect(bench.tls.unasked).toBe(0);
  },
);

test.each([600, 999])("the answer's status %i: a typed failure", async (status) => {
  bench.tls.next((exchange) => exchange.send(`HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\n\r\nok`));
  const { head, body } = await EdgeCall.make(
    bench.edge,
    await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
  );
  expect(head.start).toBe("HTTP/1.1 502 Bad Gateway");
  expect(JSON.parse(body.content.toString())).toMatchObject({
    code: "status_not_representable",
    reached: "yes",
  });
  await bench.tls.request();
});

test("an answer's fields: by name, repeats in their order, spelled as the first one is; some names in the runtime's spelling", async () => {
  const lines = ["X-b: 1", "content-type: a/b", "X-A: 2", "x-B: 3", "set-cookie: a=1"];
  bench.tls.next((exchange) =>
    exchange.send(`HTTP/1.1 200 OK\r\n${lines.join("\r\n")}\r\nContent-Length: 2\r\n\r\nok`),
  );
  const { answer } = await rawRelayed(bench, { method: "GET" });
  expect(targetFields(answer.head.fields)).toEqual([
    ["Content-Length", "2"],
    ["Content-Type", "a/b"],
    ["Set-Cookie", "a=1"],
    ["X-A", "2"],
    ["X-b", "1"],
    ["X-b", "3"],
  ]);
});

test("an answer's bytes that are no UTF-8: as the UTF-8 of the same Latin-1; in a reason: the reason is left out", async () => {
  bench.tls.next((exchange) =>
    exchange.send("HTTP/1.1 200 d\xe9j\xe0\r\nX-High: \xe9\r\nContent-Length: 2\r\n\r\nok"),
  );
  const { head } = await EdgeCall.make(
    bench.edge,
    await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
  );
  expect(head.start).toBe("HTTP/1.1 200 ");
  expect(targetFields(head.fields)).toContainEqual(["X-High", "\xc3\xa9"]);
  await bench.tls.request();
});

test("white space at the end of an answer's value: gone", async () => {
  bench.tls.next((exchange) => exchange.send("HTTP/1.1 200 OK\r\nX-A: a \t \r\nContent-Length: 2\r\n\r\nok"));
  const { answer } = await rawRelayed(bench, { method: "GET" });
  expect(targetFields(answer.head.fields)).toContainEqual(["X-A", "a"]);
});

test("the Content-Length of a 304: gone", async () => {
  bench.tls.next((exchange) =>
    exchange.send('HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: "x"\r\n\r\n'),
  );
  const { head } = await EdgeCall.make(
    bench.edge,
    await raw(bench.relayUrl, { method: "GET", url: bench.tls.url }),
  );
  expect(targetFields(head.fields)).toEqual([["ETag", '"x"']]);
  await bench.tls.request();
});

test("an answer up to its connection's end: in chunks, so that a cut shows", async () => {
  bench.tls.next(async (exchange) => {
    await exchange.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
    exchange.finish();
  });
  const { answer } = await rawRelayed(bench, { method: "GET" });
  expect(answer.head.framing).toBe("chunked");
  expect([answer.body.whole, answer.body.content.toString()]).toEqual([true, "abc"]);
});

test("trailers and interim answers: dropped", async () => {
  bench.tls.next((exchange) =>
    exchange.send(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
  );
  const { answer } = await rawRelayed(bench, { method: "GET" });
  expect([answer.body.content.toString(), answer.body.trailers]).toEqual(["abc", []]);
  expect(targetFields(answer.head.fields)).toEqual([["Transfer-Encoding", "chunked"]]);
});
