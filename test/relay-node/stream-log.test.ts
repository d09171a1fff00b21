import { once } from "node:events";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { type NodeHere, startNodeHere } from "../support/node-here.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { rawRequest, sendRaw } from "../support/raw-http.ts";
import { askStream, ClientStream, failureOf } from "../support/stream-client.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** The lines of streams are an interface: these fields and no others. And what a node that goes does with its streams. */

let node: NodeHere;
let echo: TcpTarget;
beforeAll(async () => {
  node = await startNodeHere({ tickMs: 100 });
  echo = await startTcpTarget((socket: Socket) => socket.pipe(socket));
});
afterAll(async () => {
  await node.stop();
  await echo.close();
});

const HEAD = ["level", "time", "node", "msg", "door", "jti", "client", "target"];
const DIALED = ["stream", "mode", "egress", "bind", "dialed"];
const keysOf = (line: object) => Object.keys(line).toSorted();
const linesOf = (jti: string) => node.log().filter((line) => line["jti"] === jti);

describe("the canonical lines", () => {
  test("of a stream: one when it opens, one when it closes", async () => {
    const jti = newRequestId();
    const stream = await ClientStream.open(node, { claims: { jti, url: echo.url } });
    stream.write("12345");
    await eventually(() => stream.bytes.length === 5, "it came back");
    stream.cut();
    await stream.resume({ jti: newRequestId() });
    stream.finish();
    await stream.over;
    await eventually(() => linesOf(jti).some(({ msg }) => msg === "stream closed"), "it is closed");
    const [opened, resumed, closed] = linesOf(jti) as [object, object, object];
    expect(linesOf(jti)).toHaveLength(3);
    const common = {
      door: "stream",
      client: "app",
      target: `127.0.0.1:${echo.port}`,
      mode: "v1",
      egress: "127.0.0.2",
      bind: "127.0.0.2",
      dialed: "127.0.0.1",
    };
    expect(opened).toMatchObject({ ...common, msg: "stream opened", level: 30, decision: "relayed" });
    expect(keysOf(opened)).toEqual([...HEAD, ...DIALED, "decision", "ms"].toSorted());
    expect(keysOf((opened as { ms: object }).ms)).toEqual(["connect", "dns", "node_queue", "total"]);
    expect(resumed).toMatchObject({ ...common, msg: "stream resumed", level: 20, resumes: 1 });
    expect(closed).toMatchObject({
      ...common,
      msg: "stream closed",
      level: 30,
      reason: "done",
      bytes_up: 5,
      bytes_down: 5,
      resumes: 1,
    });
    expect(keysOf(closed)).toEqual(
      [...HEAD, ...DIALED, "reason", "bytes_up", "bytes_down", "resumes", "ms"].toSorted(),
    );
    expect((opened as { stream: string }).stream).toMatch(/^[\w-]{11}$/);
    expect((closed as { stream: string }).stream).toBe((opened as { stream: string }).stream);
    // What resumes a stream stands in no line.
    expect(JSON.stringify(node.log())).not.toContain(stream.open.stream);
  });

  test("of one that is broken off: why, in words", async () => {
    const jti = newRequestId();
    const stream = await ClientStream.open(node, { claims: { jti, url: echo.url } });
    stream.end.reset(new RelayError("stream_cancelled", "enough"));
    await eventually(() => linesOf(jti).length === 2, "it is closed");
    const closed = linesOf(jti)[1]!;
    expect(closed).toMatchObject({ reason: "stream_cancelled", detail: "enough", reached: "yes" });
    expect(keysOf(closed)).toEqual(
      [
        ...HEAD,
        ...DIALED,
        "reason",
        "detail",
        "reached",
        "bytes_up",
        "bytes_down",
        "resumes",
        "ms",
      ].toSorted(),
    );
  });

  test("of one that never opened", async () => {
    const jti = newRequestId();
    await failureOf(askStream(node, { claims: { jti, url: "tcp://10.0.0.1:5432" } }));
    await eventually(() => linesOf(jti).length === 1, "it was told");
    const refused = linesOf(jti)[0]!;
    expect(refused).toMatchObject({
      msg: "stream refused",
      level: 30,
      decision: "refused",
      reason: "address_refused",
      reached: "no",
      target: "10.0.0.1:5432",
    });
    expect(keysOf(refused)).toEqual([...HEAD, "decision", "reason", "detail", "reached", "ms"].toSorted());
    expect(keysOf(refused["ms"] as object)).toEqual(["dns", "node_queue", "total"]);
  });

  test("of a stranger's are none at info", async () => {
    await failureOf(askStream(node, { authorization: "Bearer a.b.c" }));
    const line = node.log().findLast(({ msg }) => msg === "stream refused")!;
    expect(line).toMatchObject({ level: 20, reason: "grant_invalid" });
    const fields = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket"];
    for (const [method, more] of [
      ["POST", []],
      ["GET", []],
      ["GET", ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: none"]],
    ] as const) {
      const request = rawRequest(`${method} /stream`, [...fields, ...more]);
      await sendRaw({ port: node.port, ca: node.ca }, request);
    }
    const lines = node.log().filter(({ msg, client }) => msg === "stream refused" && client === undefined);
    expect(lines.map(({ level, reason }) => [level, reason])).toEqual([
      [20, "grant_invalid"],
      [20, "method_not_allowed"],
      [20, "upgrade_required"],
      [20, "request_invalid"],
    ]);
  });

  test("of resumes of what is not there are none at info: no rate holds them", async () => {
    const resume = { stream: newRequestId(), received: 0, sent: 0 };
    await failureOf(askStream(node, { claims: { url: echo.url, resume } }));
    const line = node.log().findLast(({ msg }) => msg === "stream refused")!;
    expect(line).toMatchObject({ level: 20, reason: "stream_unknown" });
  });
});

test("the counters move, and their labels hold nothing of a caller's", async () => {
  const read = async (name: string) => (await node.metric(name)) ?? 0;
  const names = [
    'holdfast_streams_opened_total{mode="v1"}',
    'holdfast_streams_closed_total{reason="done"}',
    'holdfast_stream_bytes_total{direction="up"}',
    'holdfast_stream_bytes_total{direction="down"}',
    "holdfast_stream_resumes_total",
    'holdfast_streams_refused_total{reason="address_refused"}',
  ];
  const before = await Promise.all(names.map((name) => read(name)));
  const stream = await ClientStream.open(node, { claims: { url: echo.url } });
  expect(await read("holdfast_streams_open")).toBe(1);
  stream.write("1234567");
  await eventually(() => stream.bytes.length === 7, "it came back");
  stream.cut();
  await eventually(async () => (await read("holdfast_streams_detached")) === 1, "it is detached");
  await stream.resume();
  stream.finish();
  await stream.over;
  await failureOf(askStream(node, { claims: { url: "tcp://10.0.0.1:1" } }));
  await eventually(async () => (await read("holdfast_streams_open")) === 0, "none is open");
  const after = await Promise.all(names.map((name) => read(name)));
  expect(after.map((value, index) => value - before[index]!)).toEqual([1, 1, 7, 7, 1, 1]);
});

describe("a node that goes", () => {
  let going: NodeProcess;
  const lines = (msg: string) => logLines(going.logFile).filter((line) => line["msg"] === msg);
  function drain(): Promise<unknown[]> {
    const exited = once(going.process(), "exit");
    going.process().kill("SIGTERM");
    return exited;
  }

  test("lets its streams run and go on, opens none, and tells those that it cuts", async () => {
    going = await startNodeProcess({ drainSeconds: 5 });
    const stream = await ClientStream.open(going, { claims: { url: echo.url } });
    const raw = await askStream(going, { claims: { url: echo.url }, protocols: [] });
    const rawClosed = once(raw.socket, "close");
    const socketClosed = Promise.withResolvers<[number, Buffer]>();
    const exited = drain();
    await eventually(() => lines("draining").length > 0, "it drains");
    const refused = await failureOf(askStream(going, { claims: { url: echo.url } }));
    expect(refused).toMatchObject({ code: "node_draining", retryable: true, reached: "no" });
    stream.cut();
    await stream.resume();
    stream.socket.once("close", (code, reason) => socketClosed.resolve([code, reason]));
    stream.write("still here");
    await eventually(() => stream.bytes.toString() === "still here", "it goes on");
    // It is not to be tried again as if nothing had happened.
    expect(await stream.over).toMatchObject({ code: "node_draining", reached: "yes", retryable: false });
    expect((await socketClosed.promise)[0]).toBe(1_011);
    const [code, reason] = (await rawClosed) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1_011, "node_draining"]);
    expect(await exited).toEqual([0, null]);
    expect(lines("stream closed").map(({ reason: why }) => why)).toEqual(["node_draining", "node_draining"]);
    await going.stop();
  });

  test("goes as soon as its last stream has ended", async () => {
    going = await startNodeProcess({ drainSeconds: 60 });
    const stream = await ClientStream.open(going, { claims: { url: echo.url } });
    const exited = drain();
    await eventually(() => lines("draining").length > 0, "it drains");
    stream.finish();
    expect(await stream.over).toBeUndefined();
    expect(await exited).toEqual([0, null]);
    await going.stop();
  });
});
