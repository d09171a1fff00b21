import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { pour } from "../support/pour.ts";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { CAPSULE, CapsuleDecoder, capsuleHead } from "../../protocol/capsules.ts";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { serveConnectTcp } from "../../relay-node/proxy/connect-tcp.ts";
import { eventually, untilStreamsEnd } from "../support/node-log.ts";
import { type ProxyParts, startProxyParts, USER } from "../support/proxy-parts.ts";
import { freePort } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** CONNECT-TCP over HTTP/1.1: a real node's parts behind it, real sockets before it, and an edge that the test speaks for. */

let parts: ProxyParts;
let plain: Server;
let secure: Server;
let ca: string;
let target: TcpTarget;
let serve: (socket: Socket) => void;
let known = 0;

beforeAll(async () => {
  parts = await startProxyParts();
  target = await startTcpTarget((socket) => serve(socket));
  const authority = await createCa("Proxy test CA");
  ca = authority.cert;
  const tls = await issueCertificate(authority, { dns: ["localhost"], ip: ["127.0.0.1"] });
  plain = createServer();
  secure = createTlsServer(tls);
  for (const server of [plain, secure]) {
    server.on("upgrade", (request, socket, head) => {
      void serveConnectTcp(parts.context, request, socket, head, () => known++);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
});
beforeEach(() => {
  serve = (socket) => void socket.pipe(socket);
  parts.judge = undefined;
  parts.asked.length = 0;
  parts.lines.length = 0;
  known = 0;
});
afterEach(() => untilStreamsEnd(() => parts.lines));
afterAll(async () => {
  for (const server of [plain, secure]) {
    server.close();
    server.closeAllConnections();
  }
  await parts.stop();
  await target.close();
});

const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const AUTHORIZATION = `Authorization: ${basic(USER.user, USER.credential)}`;
const UPGRADE = ["Connection: Upgrade", "Upgrade: connect-tcp", "Capsule-Protocol: ?1"];
const pathTo = (host: string, port: number | string) => `/.well-known/masque/tcp/${host}/${port}/`;
const requestFor = (
  path: string,
  fields: readonly string[] = ["Host: localhost", ...UPGRADE, AUTHORIZATION],
  method = "GET",
) => `${method} ${path} HTTP/1.1\r\n${[...fields, "", ""].join("\r\n")}`;

const data = (bytes: Buffer | string) =>
  Buffer.concat([capsuleHead(CAPSULE.data, Buffer.byteLength(bytes)), Buffer.from(bytes)]);
const final = (bytes = "") =>
  Buffer.concat([capsuleHead(CAPSULE.finalData, bytes.length), Buffer.from(bytes)]);

interface User {
  readonly socket: Socket;
  /** The answer's head. */
  readonly head: () => string;
  /** What came behind the head, as it stood on the wire. */
  readonly wire: () => Buffer;
  /** The bytes in its capsules. */
  readonly bytes: () => Buffer;
  /** FINAL_DATA came. */
  readonly isFinal: () => boolean;
  readonly ended: Promise<void>;
  /** An error's code; "" where the connection was closed without one. */
  readonly closed: Promise<string>;
}

async function dial(how: "plain" | "TLS" = "plain"): Promise<User> {
  const { port } = (how === "plain" ? plain : secure).address() as AddressInfo;
  const to = { port, host: "127.0.0.1", allowHalfOpen: true };
  const socket = how === "plain" ? connect(to) : connectTls({ ...to, ca, servername: "localhost" });
  const chunks: Buffer[] = [];
  let failure = "";
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", (error: NodeJS.ErrnoException) => (failure = error.code ?? "error"));
  const ended = new Promise<void>((resolve) => socket.once("end", resolve));
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(failure)));
  await once(socket, how === "plain" ? "connect" : "secureConnect");
  const all = () => {
    const bytes = Buffer.concat(chunks);
    const at = bytes.indexOf("\r\n\r\n");
    return at === -1 ? [bytes, Buffer.alloc(0)] : [bytes.subarray(0, at + 4), bytes.subarray(at + 4)];
  };
  const decode = () => {
    const decoder = new CapsuleDecoder();
    return { payload: Buffer.concat(decoder.decode(all()[1]!)), isFinal: decoder.isFinal };
  };
  return {
    socket,
    head: () => all()[0]!.toString("latin1"),
    wire: () => all()[1]!,
    bytes: () => decode().payload,
    isFinal: () => decode().isFinal,
    ended,
    closed,
  };
}

async function open(how: "plain" | "TLS" = "plain"): Promise<User> {
  const user = await dial(how);
  user.socket.write(requestFor(pathTo("127.0.0.1", target.port)));
  await eventually(() => user.head().endsWith("\r\n\r\n"), "it is answered");
  expect(user.head()).toMatch(/^HTTP\/1\.1 101 /);
  return user;
}

/** The whole answer to a request that opens nothing. */
async function refusal(request: string): Promise<{ head: string; problem: Record<string, unknown> }> {
  const user = await dial();
  user.socket.write(request);
  await user.ended;
  user.socket.end();
  const problem = JSON.parse(user.wire().toString()) as Record<string, unknown>;
  return { head: user.head(), problem };
}

const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const there = () => target.sockets.at(-1)!;
const lines = (msg: string) => parts.lines.filter((line) => line["msg"] === msg);
async function closing(act: () => void): Promise<Record<string, unknown>> {
  const before = lines("stream closed").length;
  act();
  await eventually(() => lines("stream closed").length > before, "the tunnel is closed");
  return lines("stream closed").at(-1)!;
}

describe.each(["plain", "TLS"] as const)("a tunnel, %s", (how) => {
  test("opens with a 101 and carries capsules", async () => {
    const { socket, head, bytes, wire } = await open(how);
    const fields = head().toLowerCase();
    for (const field of [
      "Connection: Upgrade",
      "Upgrade: connect-tcp",
      "Capsule-Protocol: ?1",
      "Proxy-Status: holdfast",
      "Relay-Status: target",
      "Relay-Egress: 127.0.0.2",
    ]) {
      expect(fields).toContain(`\r\n${field.toLowerCase()}\r\n`);
    }
    expect(known).toBe(1);
    expect(parts.asked).toEqual([{ user: { ...USER, from: "127.0.0.1" }, target: target.url }]);
    socket.write(data("hello"));
    await eventually(() => bytes().toString() === "hello", "it came back");
    expect(wire().toString("hex")).toBe(data("hello").toString("hex"));
    socket.destroy();
  });

  test("ends in order where both sides do", async () => {
    const user = await open(how);
    const line = await closing(() => user.socket.write(Buffer.concat([data("all "), final("of it")])));
    expect(line).toMatchObject({ reason: "done", bytes_up: 9, bytes_down: 9 });
    await user.ended;
    expect([user.bytes().toString(), user.isFinal()]).toEqual(["all of it", true]);
    user.socket.end();
    expect(await user.closed).toBe("");
  });

  test("ends in order where the user closes behind its end, too", async () => {
    serve = (socket) => void socket.resume().once("end", () => socket.end("after the end"));
    const user = await open(how);
    const line = await closing(() => user.socket.end(Buffer.concat([data("all "), final("of it")])));
    expect(line).toMatchObject({ reason: "done", bytes_up: 9, bytes_down: 13 });
    expect([user.bytes().toString(), user.isFinal()]).toEqual(["after the end", true]);
    expect(await user.closed).toBe("");
  });

  test("passes the target's end on, and what the user says after it", async () => {
    const heard: Buffer[] = [];
    serve = (socket) => void socket.on("data", (chunk: Buffer) => heard.push(chunk)).end("bye");
    const user = await open(how);
    await eventually(() => user.isFinal(), "the end is passed on");
    expect(user.bytes().toString()).toBe("bye");
    const line = await closing(() => user.socket.write(Buffer.concat([data("and on "), final("it goes")])));
    expect(line).toMatchObject({ reason: "done" });
    await eventually(() => Buffer.concat(heard).toString() === "and on it goes", "the target has heard it");
    await user.ended;
    user.socket.end();
  });

  test("that is cut without FINAL_DATA resets the target", async () => {
    const user = await open(how);
    user.socket.write(data("half"));
    await eventually(() => user.bytes().toString() === "half", "it came back");
    const failed = once(there(), "error");
    const line = await closing(() => user.socket.end());
    expect(line).toMatchObject({ reason: "stream_cancelled" });
    expect(((await failed) as [NodeJS.ErrnoException])[0].code).toBe("ECONNRESET");
    user.socket.destroy();
  });

  test("whose target resets is cut without FINAL_DATA", async () => {
    const user = await open(how);
    user.socket.write(data("half"));
    await eventually(() => user.bytes().toString() === "half", "it came back");
    const line = await closing(() => there().resetAndDestroy());
    expect(line).toMatchObject({ reason: "target_reset" });
    if (how === "plain") expect(await user.closed).toBe("ECONNRESET");
    else await Promise.race([user.ended, user.closed]);
    expect(user.isFinal()).toBe(false);
    user.socket.destroy();
  });

  test("that breaks behind the user's FINAL_DATA is cut all the same", async () => {
    serve = (socket) => void socket.resume();
    const user = await open(how);
    user.socket.write(final("all"));
    await eventually(() => there().readableEnded, "the target has heard the end");
    const line = await closing(() => there().resetAndDestroy());
    expect(line).toMatchObject({ reason: "target_reset" });
    await Promise.race([user.ended, user.closed]);
    expect(user.isFinal()).toBe(false);
    user.socket.destroy();
  });

  test("20 MB each way at once arrive with equal hashes", { timeout: 60_000 }, async () => {
    const [up, down] = [Buffer.alloc(20_000_000, "up and on "), Buffer.alloc(20_000_000, "down we go ")];
    const seen = createHash("sha256");
    const { promise: isWhole, resolve } = Promise.withResolvers<void>();
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => seen.update(chunk)).once("end", resolve);
      socket.end(down);
    };
    const user = await open(how);
    // One capsule of 10 MB, many of 1 kB, and an odd one.
    user.socket.write(data(up.subarray(0, 10_000_000)));
    for (let at = 10_000_000; at < 19_000_000; at += 1_000) {
      user.socket.write(data(up.subarray(at, at + 1_000)));
    }
    user.socket.write(data(up.subarray(19_000_000)));
    const line = await closing(() => user.socket.write(final()));
    expect(line).toMatchObject({ reason: "done", bytes_up: up.length, bytes_down: down.length });
    await user.ended;
    expect([hash(user.bytes()), user.isFinal()]).toEqual([hash(down), true]);
    await isWhole;
    expect(seen.digest("hex")).toBe(hash(up));
    user.socket.end();
  });
});

describe("a tunnel", () => {
  test("is opened under the name that the draft has for tests", async () => {
    const user = await dial();
    const fields = ["Host: localhost", "Connection: upgrade", "Upgrade: Connect-TCP-07", AUTHORIZATION];
    user.socket.write(requestFor(pathTo("127.0.0.1", target.port), fields));
    await eventually(() => user.head().endsWith("\r\n\r\n"), "it is answered");
    expect(user.head()).toContain("\r\nUpgrade: connect-tcp-07\r\n");
    user.socket.destroy();
  });

  test("answers 100 to whoever waits for it, before the target is dialled", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    parts.judge = () => promise;
    const user = await dial();
    const fields = ["Host: localhost", ...UPGRADE, AUTHORIZATION, "Expect: 100-continue"];
    user.socket.write(requestFor(pathTo("127.0.0.1", target.port), fields));
    await eventually(() => user.head() === "HTTP/1.1 100 Continue\r\n\r\n", "it is told to go on");
    resolve();
    await eventually(() => user.wire().length > 0, "it is answered");
    expect(user.wire().toString()).toMatch(/^HTTP\/1\.1 101 /);
    user.socket.destroy();
  });

  test("keeps what came with the request", async () => {
    const user = await dial();
    const request = requestFor(pathTo("127.0.0.1", target.port));
    user.socket.write(Buffer.concat([Buffer.from(request), data("early"), capsuleHead(CAPSULE.data, 4)]));
    await eventually(() => user.head().startsWith("HTTP/1.1 101 "), "the tunnel is open");
    user.socket.write("late");
    await eventually(() => user.bytes().length >= "earlylate".length, "all came back");
    expect(user.bytes().toString()).toBe("earlylate");
    user.socket.destroy();
  });

  test("keeps all that came ahead, with an end behind it", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    parts.judge = () => promise;
    const user = await dial();
    const request = requestFor(pathTo("127.0.0.1", target.port));
    user.socket.end(Buffer.concat([Buffer.from(request), data("early "), final("end")]));
    await eventually(() => parts.asked.length === 1, "the edge is asked");
    resolve();
    await user.ended;
    expect([user.bytes().toString(), user.isFinal()]).toEqual(["early end", true]);
  });

  test("takes capsules byte by byte, and drops those that it doesn't know", async () => {
    const user = await open();
    user.socket.setNoDelay(true);
    const unknown = Buffer.concat([capsuleHead(0x1717, 3), Buffer.from("???")]);
    for (const byte of Buffer.concat([unknown, data("a"), unknown, data(""), data("b"), unknown])) {
      user.socket.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await eventually(() => user.bytes().length >= "ab".length, "the data came back");
    expect(user.bytes().toString()).toBe("ab");
    user.socket.destroy();
  });

  test.each<[string, Buffer]>([
    ["an unknown capsule that is too long", Buffer.from(capsuleHead(0x1717, 1_000_000))],
    ["more data behind the end", Buffer.concat([final(), data("x")])],
    ["a second end", Buffer.concat([final(), final()])],
    ["what is no capsules", Buffer.alloc(200, 0xff)],
  ])("is reset by %s", async (_, bytes) => {
    serve = (socket) => void socket.resume();
    const user = await open();
    const line = await closing(() => user.socket.write(bytes));
    expect(line).toMatchObject({ reason: "stream_protocol" });
    expect(await user.closed).toBe("ECONNRESET");
    await eventually(() => there().destroyed, "the target's connection is closed");
  });

  test("is reset by an end in mid-capsule", async () => {
    const user = await open();
    const line = await closing(() => user.socket.end(data("abc").subarray(0, -1)));
    expect(line).toMatchObject({ reason: "stream_cancelled" });
  });

  test("a slow reader slows the target, and loses nothing", { timeout: 60_000 }, async () => {
    const all = Buffer.alloc(48_000_000, "more than any buffer on the way holds ");
    let written: ReturnType<typeof pour>;
    serve = (socket) => {
      written = pour(socket, all);
      void written.done.then(() => socket.end());
    };
    const user = await open();
    user.socket.pause();
    expect(await written!.still()).toBeLessThan(all.length / 2);
    user.socket.resume();
    const line = await closing(() => user.socket.write(final()));
    expect(line).toMatchObject({ reason: "done" });
    await user.ended;
    expect([hash(user.bytes()), user.isFinal()]).toEqual([hash(all), true]);
    user.socket.end();
  });

  test("a slow target slows the user, and loses nothing", { timeout: 60_000 }, async () => {
    const all = Buffer.alloc(48_000_000, "more than any buffer on the way holds ");
    const seen = createHash("sha256");
    serve = (socket) => void socket.pause();
    const user = await open();
    const written = pour(user.socket, all, [capsuleHead(CAPSULE.data, all.length)]);
    expect(await written.still()).toBeLessThan(all.length / 2);
    there()
      .on("data", (chunk: Buffer) => seen.update(chunk))
      .once("end", () => there().end())
      .resume();
    await written.done;
    const line = await closing(() => user.socket.write(final()));
    expect(line).toMatchObject({ reason: "done", bytes_up: all.length });
    expect(seen.digest("hex")).toBe(hash(all));
    user.socket.destroy();
  });

  test("of 100 at once don't mix", async () => {
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const user = await open();
        const own = Buffer.alloc(50_000, `tunnel ${index} `);
        user.socket.write(Buffer.concat([data(own), final()]));
        await user.ended;
        expect([hash(user.bytes()), user.isFinal()]).toEqual([hash(own), true]);
        user.socket.end();
      }),
    );
  });

  test("has its two lines, without its password", async () => {
    const user = await open();
    const line = await closing(() => user.socket.write(final("12345")));
    expect(lines("stream opened").at(-1)).toMatchObject({
      door: "proxy",
      mode: "connect-tcp",
      client: "app",
    });
    expect(line).toMatchObject({ door: "proxy", mode: "connect-tcp", reason: "done" });
    expect(JSON.stringify(parts.lines)).not.toContain(USER.credential);
    user.socket.destroy();
  });
});

describe("credentials", () => {
  const withFields = (...fields: string[]) =>
    requestFor(pathTo("127.0.0.1", target.port), ["Host: localhost", ...UPGRADE, ...fields]);

  test.each<[string, string, string | undefined]>([
    ["Authorization, Basic", AUTHORIZATION, "app"],
    ["Proxy-Authorization, Basic", `Proxy-${AUTHORIZATION}`, "app"],
    ["Authorization, Bearer", `Authorization: Bearer ${USER.credential}`, undefined],
    ["Proxy-Authorization, Bearer", `Proxy-Authorization: Bearer ${USER.credential}`, undefined],
  ])("come as %s", async (_, field, user) => {
    const one = await dial();
    one.socket.write(withFields(field));
    await eventually(() => one.head().startsWith("HTTP/1.1 101 "), "the tunnel is open");
    expect(parts.asked[0]!.user).toEqual({ user, credential: USER.credential, from: "127.0.0.1" });
    one.socket.destroy();
  });

  test.each<[string, string[], string]>([
    ["none", [], "proxy_credentials_missing"],
    ["of another scheme", ["Authorization: Digest x=y"], "proxy_credentials_invalid"],
    ["Basic without a user", [`Authorization: ${basic("", "x")}`], "proxy_credentials_invalid"],
    ["Basic that is cut", ["Authorization: Basic !"], "proxy_credentials_invalid"],
    ["a password that is no token", [`Authorization: ${basic("app", "a b")}`], "proxy_credentials_invalid"],
    [
      "that the edge doesn't know",
      [`Authorization: ${basic("app", `hf_${"x".repeat(32)}`)}`],
      "handle_unknown",
    ],
  ])("%s are answered with 401", async (_, fields, code) => {
    const { head, problem } = await refusal(withFields(...fields));
    expect(head).toContain(`HTTP/1.1 401 Unauthorized (${code})\r\n`);
    expect(head).toContain(`\r\nRelay-Error: ${code}\r\n`);
    expect(head).toContain("\r\nProxy-Status: holdfast; error=http_request_denied\r\n");
    expect(head).toContain('\r\nWWW-Authenticate: Basic realm="holdfast", charset="UTF-8"\r\n');
    expect(head).toContain('\r\nWWW-Authenticate: Bearer realm="holdfast"\r\n');
    expect(problem).toMatchObject({ status: 401, code, reached: "no" });
    expect(parts.asked.length).toBe(code === "handle_unknown" ? 1 : 0);
    expect(known).toBe(0);
  });
});

describe("a request", () => {
  const here = () => pathTo("127.0.0.1", target.port);
  const most = ["Host: localhost", AUTHORIZATION];
  test.each<[string, () => string, number, ErrorCode]>([
    ["by POST", () => requestFor(here(), [...most, ...UPGRADE], "POST"), 405, "method_not_allowed"],
    [
      "for another protocol",
      () => requestFor(here(), [...most, "Connection: Upgrade", "Upgrade: websocket"]),
      426,
      "upgrade_required",
    ],
    ["with two Hosts", () => requestFor(here(), [...most, ...UPGRADE, "Host: b"]), 400, "request_invalid"],
    [
      "with credentials twice",
      () => requestFor(here(), [...most, ...UPGRADE, AUTHORIZATION]),
      400,
      "request_invalid",
    ],
    [
      "with credentials of both kinds",
      () => requestFor(here(), [...most, ...UPGRADE, `Proxy-${AUTHORIZATION}`]),
      400,
      "request_invalid",
    ],
    [
      "with a body",
      () => requestFor(here(), [...most, ...UPGRADE, "Content-Length: 0"]),
      400,
      "request_invalid",
    ],
    ["for a list of hosts", () => requestFor(pathTo("192.0.2.1%2C192.0.2.2", 80)), 400, "request_invalid"],
    ["for an address in hex", () => requestFor(pathTo("0x7f.1", 80)), 400, "url_invalid"],
    ["for an address with a zone", () => requestFor(pathTo("fe80%3A%3A1%25lo", 80)), 400, "url_invalid"],
    ["for port 0", () => requestFor(pathTo("127.0.0.1", 0)), 400, "url_invalid"],
    ["with a query", () => requestFor(`${here()}?x`), 400, "request_invalid"],
  ])("%s is refused, and nobody is asked", async (_, request, status, code) => {
    const { head, problem } = await refusal(request());
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [A-Za-z ]+ \\(${code}\\)\r\n`));
    expect(problem).toMatchObject({ status, code, reached: "no" });
    if (status === 426) expect(head).toContain("\r\nUpgrade: connect-tcp\r\n");
    expect(parts.asked).toEqual([]);
  });

  test.each<[ErrorCode, number, string]>([
    ["target_not_allowed", 403, "http_request_denied"],
    ["authorization_unavailable", 503, "destination_unavailable"],
    ["rate_limited", 429, "connection_limit_reached"],
  ])("that is refused by %s is answered with %i", async (code, status, proxy) => {
    parts.judge = () => {
      throw new RelayError(code, "no");
    };
    const { head } = await refusal(requestFor(here()));
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head).toContain(`\r\nProxy-Status: holdfast; error=${proxy}\r\n`);
  });

  test("whose target can't be reached hears why", async () => {
    const closed = await refusal(requestFor(pathTo("127.0.0.1", await freePort())));
    expect(closed.problem).toMatchObject({ status: 502, code: "connect_refused" });
    const local = await refusal(requestFor(pathTo("%3A%3Affff%3A7f00%3A1", 80)));
    expect(local.problem).toMatchObject({ status: 403, code: "address_refused" });
  });

  test("is given up when its user goes", async () => {
    parts.judge = () => new Promise((done) => setTimeout(done, 100));
    const user = await dial();
    user.socket.write(requestFor(here()));
    await eventually(() => parts.asked.length === 1, "the edge is asked");
    const before = target.sockets.length;
    user.socket.end();
    await eventually(() => lines("stream refused").length === 1, "it is given up");
    expect(lines("stream refused")[0]).toMatchObject({ reason: "stream_cancelled", reached: "no" });
    expect(target.sockets.length).toBe(before);
    user.socket.destroy();
  });
});
