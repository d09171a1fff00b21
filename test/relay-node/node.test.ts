import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { connect } from "node:tls";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { startBlackHole } from "../support/black-hole.ts";
import { type CountingTarget, startCountingTarget } from "../support/counting-target.ts";
import { eventually } from "../support/node-log.ts";
import { type NodeProcess, startNodeProcess } from "../support/node-process.ts";
import { openRaw, parseAnswers, rawRequest, readRaw, sendRaw } from "../support/raw-http.ts";
import { expectRefusal } from "../support/refusal.ts";
import { freePort } from "../support/stack.ts";

let target: CountingTarget;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const nodes: NodeProcess[] = [];

const ok = (_request: IncomingMessage, response: ServerResponse) => void response.end("ok");
beforeAll(async () => {
  target = await startCountingTarget({ answer: (request, response) => answer(request, response) });
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});
afterAll(() => target.close());

async function start(config?: Record<string, unknown>): Promise<NodeProcess> {
  answer = ok;
  const node = await startNodeProcess(config);
  nodes.push(node);
  return node;
}

const claims = (changes: Record<string, unknown> = {}) => ({
  url: `http://127.0.0.1:${target.port}/x`,
  ...changes,
});
const scrape = async ({ metricsPort }: NodeProcess, path = "/metrics", line = "GET") =>
  sendRaw({ port: metricsPort }, rawRequest(`${line} ${path}`, ["Host: x", "Connection: close"]));

describe("what a node says of itself", () => {
  test("/healthz and /whoami, to anybody, with nothing to be kept by a cache", async () => {
    const node = await start();
    const health = await node.get("/healthz");
    expect([health?.status, JSON.parse(health!.body)]).toEqual([200, { status: "ok", node: "node-1" }]);
    const who = await node.get("/whoami");
    expect([who?.status, JSON.parse(who!.body)]).toEqual([200, { address: "127.0.0.1" }]);
    for (const one of [health, who]) expect(one!.field("cache-control")).toBe("no-store");
  });

  test("/whoami tells an IPv4 caller of a listener for both families its plain address", async () => {
    const port = await freePort("::");
    const other = await start({ listen: { host: "::", port, cert: "cert.pem", key: "key.pem" } });
    const who = await sendRaw(
      { port, ca: other.ca },
      rawRequest("GET /whoami", ["Host: x", "Connection: close"]),
    );
    expect(JSON.parse(who!.body)).toEqual({ address: "127.0.0.1" });
  });

  test("/metrics on loopback alone, with counters that move", async () => {
    const node = await start();
    expect((await node.get("/metrics"))?.status).toBe(404);
    expect((await scrape(node, "/"))?.status).toBe(404);
    expect((await scrape(node, "/metrics", "POST"))?.status).toBe(404);
    const before = (await scrape(node))!.body;
    expect(before).not.toContain('outcome="target"');
    await node.ask({ claims: claims({ htm: "POST", framing: 3 }), body: "abc" });
    await node.ask({ authorization: ["Relay-Authorization: Bearer secret.secret.secret"] });
    await node.ask({ claims: claims({ url: "http://10.0.0.1/" }) });
    const metric = async (name: string) =>
      new RegExp(`^${name} (.*)$`, "m").exec((await scrape(node))!.body)?.[1];
    expect(await metric('holdfast_requests_total\\{outcome="target"\\}')).toBe("1");
    expect(await metric('holdfast_requests_total\\{outcome="grant_invalid"\\}')).toBe("1");
    expect(await metric('holdfast_requests_total\\{outcome="address_refused"\\}')).toBe("1");
    expect(await metric('holdfast_body_bytes_total\\{direction="up"\\}')).toBe("3");
    expect(await metric('holdfast_body_bytes_total\\{direction="down"\\}')).toBe("2");
    expect(await metric('holdfast_stage_seconds_count\\{stage="connect"\\}')).toBe("1");
    expect(await metric("holdfast_requests_active")).toBe("0");
    expect(await metric("holdfast_target_connections")).toBe("1");
    const labels = (await scrape(node))!.body;
    for (const secret of ["secret", "127.0.0.1", "app", "/x"]) expect(labels).not.toContain(`"${secret}"`);
  });
});

describe("SIGTERM", () => {
  /** A request whose answer waits until it is let go. */
  async function hold(node: NodeProcess) {
    const gate = Promise.withResolvers<void>();
    answer = (_request, response) => void gate.promise.then(() => response.end("late"));
    const heads = target.heads.length;
    const asked = node.ask({ claims: claims() });
    await eventually(() => target.heads.length > heads, "the request was under way");
    return { asked, letGo: gate.resolve };
  }

  test("lets what runs finish, refuses what is new without using its id up, and ends with 0", async () => {
    const node = await start();
    const idle = await openRaw({ port: node.port, ca: node.ca });
    const { asked, letGo } = await hold(node);
    const exited = once(node.process(), "exit");
    node.process().kill("SIGTERM");
    await eventually(() => node.log().some(({ msg }) => msg === "draining"), "it drains");
    const jti = newRequestId();
    const reading = readRaw(idle);
    idle.write(node.bytes({ claims: claims({ jti }) }));
    const problem = expectRefusal(parseAnswers(await reading)[0], "node_draining");
    expect(problem).toMatchObject({ retryable: true, node: "node-1", request_id: jti });
    const health = await node.get("/healthz");
    expect([health?.status, JSON.parse(health!.body)]).toEqual([503, { status: "draining", node: "node-1" }]);
    expect((await scrape(node))!.body).toMatch(/^holdfast_draining 1$/m);
    // A second signal changes nothing.
    node.process().kill("SIGTERM");
    letGo();
    expect(await asked).toMatchObject({ status: 200, body: "late" });
    expect(await exited).toEqual([0, null]);
    await node.restart();
    answer = ok;
    expect((await node.ask({ claims: claims({ jti, tat: Math.floor(Date.now() / 1_000) }) }))?.status).toBe(
      200,
    );
  });

  test("cuts what does not finish in time, and says that the target may have been reached", async () => {
    const node = await start({ drainSeconds: 1 });
    const { asked } = await hold(node);
    const exited = once(node.process(), "exit");
    const began = performance.now();
    node.process().kill("SIGTERM");
    expectRefusal(await asked, "node_draining", "unknown");
    expect(await exited).toEqual([0, null]);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(performance.now() - began).toBeLessThan(4_000);
    // The last lines of a process that exits may change places: one was on its way, the next is written at once.
    expect(node.log()).toContainEqual(expect.objectContaining({ msg: "stopped", cut: 1 }));
  });

  test("cuts what still waits for its connection with a typed error, too", async () => {
    const node = await start({ drainSeconds: 0.5 });
    const hole = await startBlackHole("127.0.0.9");
    const asked = node.ask({ claims: claims({ url: `http://127.0.0.9:${hole.port}/` }) });
    await pause(300);
    const exited = once(node.process(), "exit");
    node.process().kill("SIGTERM");
    expectRefusal(await asked, "node_draining", "no");
    expect(await exited).toEqual([0, null]);
    expect(node.log()).toContainEqual(expect.objectContaining({ msg: "request", reason: "node_draining" }));
    await hole.close();
  });

  test("is soon over where nothing runs, whatever connections rest: it lingers to refuse what is still sent", async () => {
    const node = await start();
    await openRaw({ port: node.port, ca: node.ca });
    await node.ask({ claims: claims() });
    const exited = once(node.process(), "exit");
    const began = performance.now();
    node.process().kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test("its launcher's end ends it too", async () => {
    const node = await start();
    const exited = once(node.process(), "exit");
    node.process().disconnect();
    expect(await exited).toEqual([0, null]);
  });
});

describe("the certificate", () => {
  /** The fingerprint that a new connection is shown. */
  async function shown({ port }: NodeProcess): Promise<string> {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  }

  test("is read again when its files change; a pair that does not fit leaves the old one", async () => {
    const node = await start();
    const ca = await createCa("Another CA");
    const [next, last] = [
      await issueCertificate(ca, { dns: ["localhost"] }),
      await issueCertificate(ca, { dns: ["localhost"] }),
    ];
    const write = (name: string, text: string) => writeFileSync(join(node.dir, name), text);
    const logged = (msg: string) => node.log().filter((line) => String(line["msg"]).startsWith(msg)).length;
    const first = await shown(node);
    const rests = await openRaw({ port: node.port, ca: node.ca });

    write("cert.pem", next.cert);
    await eventually(() => logged("certificate not reloaded") === 1, "the mismatch was told");
    expect(await shown(node)).toBe(first);

    write("key.pem", next.key);
    await eventually(() => logged("certificate reloaded") >= 1, "the pair was taken");
    const second = await shown(node);
    expect(second).not.toBe(first);

    write("key.pem", "garbage");
    await eventually(() => logged("certificate not reloaded") >= 2, "the garbage was told");
    expect(await shown(node)).toBe(second);

    write("cert.pem", last.cert);
    write("key.pem", last.key);
    await eventually(() => logged("certificate reloaded") >= 2, "the last pair was taken");
    expect([first, second]).not.toContain(await shown(node));

    // What was connected before goes on.
    const reading = readRaw(rests);
    rests.write(rawRequest("GET /healthz", ["Host: x", "Connection: close"]));
    expect(parseAnswers(await reading)[0]?.status).toBe(200);
    expect(JSON.stringify(node.log())).not.toContain(last.key.split("\n")[1]);
  });
});
