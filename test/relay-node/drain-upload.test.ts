import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { startCountingTarget } from "../support/counting-target.ts";
import { eventually } from "../support/node-log.ts";
import { startNodeProcess } from "../support/node-process.ts";
import { openRaw, parseAnswers, rawRequest, readRaw } from "../support/raw-http.ts";

const QUIET_MS = 500;

test("a draining node that refuses an upload leaves the connection open, or its reset would overtake the answer", async () => {
  const node = await startNodeProcess();
  const idle = await openRaw({ port: node.port, ca: node.ca });
  node.process().kill("SIGTERM");
  await eventually(() => node.log().some(({ msg }) => msg === "draining"), "it drains");
  const reading = readRaw(idle, 15_000, QUIET_MS);
  const bytes = node.bytes({ claims: { htm: "POST", framing: 4, tail: 1 }, lines: ["Content-Length: 5"] });
  // The head comes alone, as an edge's does; the body after the refusal, and then the next request.
  idle.write(bytes.replace("Connection: close", "Connection: keep-alive"));
  await eventually(() => node.log().some(({ reason }) => reason === "node_draining"), "it has refused");
  idle.write(`body.${rawRequest("GET /healthz", ["Host: localhost", "Connection: close"])}`);
  const answers = parseAnswers(await reading);
  expect(answers.map(({ status }) => status)).toEqual([503, 503]);
  expect(answers[0]?.field("relay-error")).toBe("node_draining");
  expect(answers[1]?.body).toContain('"draining"');
  await node.stop();
});

test("a node that begins to drain still takes what its edge can't send elsewhere, and soon no more", async () => {
  const gate = Promise.withResolvers<void>();
  const target = await startCountingTarget({
    answer: (request, response) =>
      void (request.url === "/held" ? gate.promise : Promise.resolve()).then(() => response.end("ok")),
  });
  const node = await startNodeProcess({ drainSeconds: 15 });
  const url = `http://127.0.0.1:${target.port}`;
  const held = node.ask({ claims: { url: `${url}/held` } });
  const upload = () =>
    node.ask({
      claims: { htm: "POST", url: `${url}/upload`, framing: "chunked" },
      lines: ["Transfer-Encoding: chunked"],
      body: "4\r\nbody\r\n0\r\n\r\n",
    });
  await eventually(() => target.heads.length === 1, "one is under way");
  node.process().kill("SIGTERM");
  await eventually(() => node.log().some(({ msg }) => msg === "draining"), "it drains");
  expect((await node.ask({ claims: { url } }))?.field("relay-error")).toBe("node_draining");
  expect(await upload()).toMatchObject({ status: 200 });
  await eventually(async () => {
    await pause(200);
    return (await upload())?.field("relay-error") === "node_draining";
  }, "it takes no more uploads");
  gate.resolve();
  expect(await held).toMatchObject({ status: 200 });
  await Promise.all([node.stop(), target.close()]);
});
