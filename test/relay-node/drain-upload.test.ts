import { expect, test } from "vitest";
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
  const bytes = node.bytes({ claims: { htm: "POST", framing: 4 }, lines: ["Content-Length: 4"] });
  // The head comes alone, as an edge's does; the body after the refusal, and then the next request.
  idle.write(bytes.replace("Connection: close", "Connection: keep-alive"));
  await eventually(() => node.log().some(({ reason }) => reason === "node_draining"), "it has refused");
  idle.write(`body${rawRequest("GET /healthz", ["Host: localhost", "Connection: close"])}`);
  const answers = parseAnswers(await reading);
  expect(answers.map(({ status }) => status)).toEqual([503, 503]);
  expect(answers[0]?.field("relay-error")).toBe("node_draining");
  expect(answers[1]?.body).toContain('"draining"');
  await node.stop();
});
