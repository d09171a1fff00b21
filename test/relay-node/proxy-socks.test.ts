import { createHash, randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { SocksClient } from "socks";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { Admission } from "../../relay-node/proxy/admission.ts";
import { type SocksDoor, startSocks } from "../../relay-node/proxy/socks-door.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { eventually, untilStreamsEnd } from "../support/node-log.ts";
import { pour } from "../support/pour.ts";
import { type ProxyParts, startProxyParts, USER } from "../support/proxy-parts.ts";
import { run } from "../support/run.ts";
import { freePort } from "../support/stack.ts";
import { startTcpTarget, type TcpTarget } from "../support/tcp-target.ts";

/** The SOCKS 5 door: a real node's parts behind it, real sockets before it, and an edge that the test speaks for. */

let dns: DnsServer;
let parts: ProxyParts;
let door: SocksDoor;
let target: TcpTarget;
let serve: (socket: Socket) => void;
/** What the door told of its sockets. */
const counted = { strangers: 0, known: 0, isFull: false };
const sockets = new Set<Socket>();
const admission = {
  stranger(socket: Socket) {
    counted.strangers++;
    sockets.add(socket);
    if (counted.isFull) socket.destroy();
  },
  known: () => void counted.known++,
};

beforeAll(async () => {
  dns = await startDnsServer();
  dns.set("db.example.com", { A: ["127.0.0.1"] });
  parts = await startProxyParts({ tickMs: 100 }, { nameServers: [dns.address] });
  door = await startSocks(parts.context, { host: "127.0.0.1", port: 0 }, admission);
  target = await startTcpTarget((socket) => serve(socket));
});
beforeEach(() => {
  serve = (socket) => void socket.pipe(socket);
  parts.judge = undefined;
  parts.asked.length = 0;
  parts.lines.length = 0;
  Object.assign(counted, { strangers: 0, known: 0, isFull: false });
});
afterEach(() => untilStreamsEnd(() => parts.lines));
afterAll(async () => {
  door.stop();
  for (const socket of sockets) socket.destroy();
  await parts.stop();
  await target.close();
  await dns.close();
});

const GREETING = Buffer.from([5, 2, 0, 2]);
const text = (value: string) => Buffer.concat([Buffer.from([Buffer.byteLength(value)]), Buffer.from(value)]);
const login = (user: string = USER.user, password: string = USER.credential) =>
  Buffer.concat([Buffer.from([1]), text(user), text(password)]);
const uint16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const toIpv4 = (port: number, address = [127, 0, 0, 1]) =>
  Buffer.concat([Buffer.from([5, 1, 0, 1, ...address]), uint16(port)]);
const toName = (name: string, port: number) =>
  Buffer.concat([Buffer.from([5, 1, 0, 3]), text(name), uint16(port)]);
const handshake = () => Buffer.concat([GREETING, login()]);

/** What comes before a tunnel's bytes: the method, the word on the password, the reply with no address in it. */
const OPENED = ["0502", "0100", "05000001000000000000"].join("");
const refusedBy = (reply: number) => `05020100050${reply}0001000000000000`;

interface User {
  readonly socket: Socket;
  /** All that came, in hex. */
  readonly hex: () => string;
  /** What came behind the replies. */
  readonly bytes: () => Buffer;
  readonly ended: Promise<void>;
  /** An error's code; "" where the connection was closed without one. */
  readonly closed: Promise<string>;
}

async function dial(port = door.port): Promise<User> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  let failure = "";
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", (error: NodeJS.ErrnoException) => (failure = error.code ?? "error"));
  const ended = new Promise<void>((resolve) => socket.once("end", resolve));
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(failure)));
  await once(socket, "connect");
  const all = () => Buffer.concat(chunks);
  return {
    socket,
    hex: () => all().toString("hex"),
    bytes: () => all().subarray(OPENED.length / 2),
    ended,
    closed,
  };
}

async function open(): Promise<User> {
  const user = await dial();
  user.socket.write(Buffer.concat([handshake(), toIpv4(target.port)]));
  await eventually(() => user.hex().length >= OPENED.length, "the tunnel is open");
  expect(user.hex().startsWith(OPENED)).toBe(true);
  return user;
}

/** All that the door says to these bytes before it closes. */
async function answerTo(...bytes: Buffer[]): Promise<string> {
  const user = await dial();
  user.socket.write(Buffer.concat(bytes));
  await over(user);
  user.socket.end();
  await user.closed;
  return user.hex();
}

/** The door has closed, in whichever way. */
async function over({ ended, closed }: User): Promise<void> {
  await Promise.race([ended, closed]);
}

const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const there = () => target.sockets.at(-1)!;
const lines = (msg: string) => parts.lines.filter((line) => line["msg"] === msg);
async function lineOf(msg: string, act: () => void): Promise<Record<string, unknown>> {
  const before = lines(msg).length;
  act();
  await eventually(() => lines(msg).length > before, `a line "${msg}" is written`);
  return lines(msg).at(-1)!;
}

describe("a tunnel", () => {
  test("is asked for step by step", async () => {
    const { socket, hex, bytes } = await dial();
    socket.write(GREETING);
    await eventually(() => hex() === "0502", "user and password are asked for");
    socket.write(login());
    await eventually(() => hex() === "05020100", "they were taken");
    expect([counted.strangers, counted.known]).toEqual([1, 0]);
    socket.write(toIpv4(target.port));
    await eventually(() => hex() === OPENED, "the target is connected");
    expect(counted.known).toBe(1);
    socket.write("hello");
    await eventually(() => bytes().toString() === "hello", "it came back");
    expect(parts.asked).toEqual([{ user: { ...USER, from: "127.0.0.1" }, target: target.url }]);
    socket.end();
  });

  test("keeps what came with the handshake in one packet", async () => {
    const { socket, bytes } = await dial();
    socket.write(Buffer.concat([handshake(), toIpv4(target.port), Buffer.from("early")]));
    await eventually(() => bytes().toString() === "early", "it came back");
    socket.write(" and late");
    await eventually(() => bytes().length >= "early and late".length, "all came back");
    expect(bytes().toString()).toBe("early and late");
    socket.end();
  });

  test("keeps what came with the handshake and an end behind it", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    parts.judge = () => promise;
    const { socket, bytes, ended } = await dial();
    const early = Buffer.alloc(10_000, "early ");
    socket.end(Buffer.concat([handshake(), toIpv4(target.port), early]));
    await eventually(() => parts.asked.length === 1, "the edge is asked");
    resolve();
    await ended;
    expect(hash(bytes())).toBe(hash(early));
  });

  test("is opened by a handshake that comes byte by byte", async () => {
    const { socket, bytes } = await dial();
    socket.setNoDelay(true);
    for (const byte of Buffer.concat([handshake(), toIpv4(target.port), Buffer.from("x")])) {
      socket.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    await eventually(() => bytes().length >= "x".length, "it came back");
    expect(bytes().toString()).toBe("x");
    socket.end();
  });

  test("goes to a name that the node resolves", async () => {
    const { socket, bytes } = await dial();
    socket.write(Buffer.concat([handshake(), toName("DB.example.com", target.port), Buffer.from("x")]));
    await eventually(() => bytes().toString() === "x", "it came back");
    expect(parts.asked[0]!.target).toBe(`tcp://db.example.com:${target.port}`);
    expect(dns.count("db.example.com")).toBeGreaterThan(0);
    socket.end();
  });

  test("has its two lines, without its password", async () => {
    const user = await open();
    expect(lines("stream opened").at(-1)).toMatchObject({ door: "proxy", mode: "socks5", client: "app" });
    const line = await lineOf("stream closed", () => user.socket.end("12345"));
    expect(line).toMatchObject({ reason: "done", bytes_up: 5, bytes_down: 5 });
    expect(JSON.stringify(parts.lines)).not.toContain(USER.credential);
  });
});

describe("a request", () => {
  test.each<[string, Buffer, string]>([
    ["for a name", toName("a-b.example.com", 65_535), "tcp://a-b.example.com:65535"],
    ["for an IPv4 address", toIpv4(1, [192, 0, 2, 1]), "tcp://192.0.2.1:1"],
    ["for an IPv4 address that is written", toName("192.0.2.1", 1), "tcp://192.0.2.1:1"],
    [
      "for an IPv6 address",
      Buffer.from([5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, ...Array<number>(11).fill(0), 1, 0, 22]),
      "tcp://[2001:db8::1]:22",
    ],
    ["for an IPv6 address that is written", toName("2001:db8::1", 22), "tcp://[2001:db8::1]:22"],
  ])("%s asks the edge for the same in its canonical form", async (_, request, asked) => {
    parts.judge = () => {
      throw new RelayError("target_not_allowed", "no");
    };
    expect(await answerTo(handshake(), request)).toBe(refusedBy(2));
    expect(parts.asked.map((one) => one.target)).toEqual([asked]);
    expect(counted.known).toBe(0);
  });

  test.each([
    ["0x7f.1"],
    ["0177.0.0.1"],
    ["2130706433"],
    ["127.1"],
    ["fe80::1%lo"],
    ["2001:db8:0::1"],
    ["[::1]"],
    ["user@db.example.com"],
    ["db.example.com/"],
    ["db.example.com:80"],
    ["db.example.com."],
    ["a b"],
    ["a\u0000b"],
    ["é.example.com"],
    [""],
  ])("for %j is refused, and nobody is asked", async (name) => {
    expect(await answerTo(handshake(), toName(name, 80))).toBe(refusedBy(1));
    expect(parts.asked).toEqual([]);
  });

  test.each<[string, Buffer, number]>([
    ["for port 0", toName("db.example.com", 0), 1],
    ["for BIND", Buffer.from([5, 2, 0, 1, 127, 0, 0, 1, 0, 80]), 7],
    ["for UDP", Buffer.from([5, 3, 0, 1, 127, 0, 0, 1, 0, 80]), 7],
    ["for another kind of address", Buffer.from([5, 1, 0, 2, 127, 0, 0, 1, 0, 80]), 8],
  ])("%s is refused", async (_, request, reply) => {
    expect(await answerTo(handshake(), request)).toBe(refusedBy(reply));
    expect(parts.asked).toEqual([]);
  });

  test.each<[ErrorCode, number]>([
    ["token_expired", 2],
    ["token_act", 2],
    ["client_unknown", 2],
    ["proxy_credentials_invalid", 2],
    ["target_not_allowed", 2],
    ["authorization_unavailable", 1],
    ["node_draining", 1],
    ["rate_limited", 1],
  ])("that is refused by %s is answered with %i", async (code, reply) => {
    parts.judge = () => {
      throw new RelayError(code, "no");
    };
    const line = lineOf("stream refused", () => {});
    expect(await answerTo(handshake(), toIpv4(target.port))).toBe(refusedBy(reply));
    expect(await line).toMatchObject({ door: "proxy", reason: code });
  });

  test("whose target can't be reached hears why", async () => {
    const closed = await freePort();
    expect(await answerTo(handshake(), toIpv4(closed))).toBe(refusedBy(5));
    expect(await answerTo(handshake(), toIpv4(80, [10, 0, 0, 1]))).toBe(refusedBy(2));
    expect(await answerTo(handshake(), toName("unknown.example.com", 80))).toBe(refusedBy(4));
  });

  test("beyond the client's limits is refused", async () => {
    parts.limits = { streams: 1 };
    const first = await open();
    expect(await answerTo(handshake(), toIpv4(target.port))).toBe(refusedBy(1));
    first.socket.destroy();
    parts.limits = undefined;
  });

  test.each([
    ["resets its connection", (socket: Socket) => void socket.resetAndDestroy()],
    ["ends it without a byte for the target", (socket: Socket) => void socket.end()],
  ])("is given up when its user %s", async (_, go) => {
    parts.judge = () => new Promise((done) => setTimeout(done, 100));
    const { socket } = await dial();
    socket.write(Buffer.concat([handshake(), toIpv4(target.port)]));
    await eventually(() => parts.asked.length === 1, "the edge is asked");
    const before = target.sockets.length;
    const line = await lineOf("stream refused", () => go(socket));
    expect(line).toMatchObject({ reason: "stream_cancelled", reached: "no" });
    expect(target.sockets.length).toBe(before);
  });
});

describe("credentials", () => {
  test.each<[string, Buffer]>([
    ["without a user", login("")],
    ["without a password", login("app", "")],
    ["whose user is no client's id", login("App!")],
    ["with a password that is no token", login("app", "pass word")],
    ["with a password beyond ASCII", login("app", "pässword")],
    ["with a token that is cut", login("app", "eyJ.eyJ")],
    ["of another version", Buffer.from([5, 1, 97, 1, 98])],
  ])("%s are refused at once, and nobody is asked", async (_, bytes) => {
    expect(await answerTo(GREETING, bytes, toIpv4(target.port))).toBe("05020101");
    expect(parts.asked).toEqual([]);
  });

  test("that the edge refuses are refused with the request", async () => {
    const answer = await answerTo(GREETING, login("app", `hf_${"x".repeat(32)}`), toIpv4(target.port));
    expect(answer).toBe(refusedBy(2));
    expect(counted.known).toBe(0);
  });

  test("have to be offered", async () => {
    expect(await answerTo(Buffer.from([5, 1, 0]))).toBe("05ff");
    expect(await answerTo(Buffer.from([5, 0]))).toBe("05ff");
  });
});

describe("a stranger", () => {
  test.each([
    ["SOCKS 4", Buffer.from([4, 1, 0, 80, 127, 0, 0, 1, 0])],
    ["HTTP", Buffer.from("CONNECT a.test:443 HTTP/1.1\r\n\r\n")],
    ["TLS", Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252])],
    ["zeros", Buffer.alloc(100_000)],
  ])("who speaks %s is not answered", async (_, bytes) => {
    expect(await answerTo(bytes)).toBe("");
  });

  test("who sends too slowly is cut", async () => {
    const slow = await startSocks(parts.context, { host: "127.0.0.1", port: 0 }, admission, 200);
    const users = await Promise.all([dial(slow.port), dial(slow.port), dial(slow.port)]);
    users[1].socket.write(GREETING.subarray(0, 3));
    users[2].socket.write(Buffer.concat([handshake(), toIpv4(80).subarray(0, 9)]));
    for (const user of users) await over(user);
    expect(users.map(({ hex }) => hex())).toEqual(["", "", "05020100"]);
    slow.stop();
  });

  test("who is one too many is dropped", async () => {
    counted.isFull = true;
    const user = await dial();
    await over(user);
    expect(user.hex()).toBe("");
  });

  test.each(["random bytes", "a handshake with random bytes in it", "a handshake that is cut"])(
    "who sends %s leaves the door as it was",
    async (kind) => {
      // An address may have changed: none but the test's own is dialled.
      parts.judge = (url) => {
        if (url !== target.url) throw new RelayError("target_not_allowed", "no");
      };
      await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const whole = Buffer.concat([handshake(), toIpv4(target.port), Buffer.from("early")]);
          const bytes = kind === "random bytes" ? randomBytes(1 + index * 20) : Buffer.from(whole);
          if (kind.includes("in it")) randomBytes(2).copy(bytes, randomInt(bytes.length - 2));
          const user = await dial();
          user.socket.end(kind.includes("cut") ? bytes.subarray(0, index) : bytes);
          await over(user);
          user.socket.destroy();
        }),
      );
      const user = await open();
      user.socket.end("served");
      await user.ended;
      expect(user.bytes().toString()).toBe("served");
    },
  );

  test("and hundreds of others who say nothing or half of it keep nobody else out", async () => {
    const strangers = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => {
        const user = await dial();
        if (index % 2 === 0) user.socket.write(GREETING);
        return user;
      }),
    );
    const user = await open();
    user.socket.write("served");
    await eventually(() => user.bytes().length >= "served".length, "it came back");
    expect(user.bytes().toString()).toBe("served");
    user.socket.end();
    for (const { socket } of strangers) socket.destroy();
  });
});

describe("bytes", () => {
  test("10 MB each way at once arrive with equal hashes", { timeout: 60_000 }, async () => {
    const [up, down] = [Buffer.alloc(10_000_000, "up and on "), Buffer.alloc(10_000_000, "down we go ")];
    const seen = createHash("sha256");
    const { promise: isWhole, resolve } = Promise.withResolvers<void>();
    serve = (socket) => {
      socket.on("data", (chunk: Buffer) => seen.update(chunk)).once("end", resolve);
      socket.end(down);
    };
    const user = await open();
    user.socket.end(up);
    await user.ended;
    await user.closed;
    expect(hash(user.bytes())).toBe(hash(down));
    await isWhole;
    expect(seen.digest("hex")).toBe(hash(up));
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
    await user.ended;
    expect(hash(user.bytes())).toBe(hash(all));
    user.socket.end();
  });

  test("the user's end is passed on, and what the target says after it arrives", async () => {
    serve = (socket) => void socket.resume().once("end", () => socket.end("after the end"));
    const { socket, bytes, ended } = await open();
    socket.end("all");
    await ended;
    expect(bytes().toString()).toBe("after the end");
  });

  test("the target's end is passed on, and what the user says after it arrives", async () => {
    const heard: Buffer[] = [];
    serve = (socket) => void socket.on("data", (chunk: Buffer) => heard.push(chunk)).end("bye");
    const { socket, bytes, ended, closed } = await open();
    await ended;
    expect(bytes().toString()).toBe("bye");
    socket.end("and on it goes");
    await closed;
    await eventually(() => Buffer.concat(heard).toString() === "and on it goes", "it arrived");
  });

  test("a reset of one side is one of the other", async () => {
    const first = await open();
    there().resetAndDestroy();
    expect(await first.closed).toBe("ECONNRESET");
    const second = await open();
    const failed = once(there(), "error");
    second.socket.resetAndDestroy();
    expect(((await failed) as [NodeJS.ErrnoException])[0].code).toBe("ECONNRESET");
  });

  test("of 100 tunnels at once don't mix", async () => {
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const { socket, bytes, ended } = await open();
        const own = Buffer.alloc(50_000, `tunnel ${index} `);
        socket.end(own);
        await ended;
        expect(hash(bytes())).toBe(hash(own));
      }),
    );
  });
});

describe("programs", () => {
  test("the package socks", async () => {
    const { socket } = await SocksClient.createConnection({
      proxy: { host: "127.0.0.1", port: door.port, type: 5, userId: USER.user, password: USER.credential },
      command: "connect",
      destination: { host: "db.example.com", port: target.port },
    });
    socket.resume().write("by a package");
    const [chunk] = (await once(socket, "data")) as [Buffer];
    expect(chunk.toString()).toBe("by a package");
    socket.destroy();
  });

  test("curl", async () => {
    const origin = createHttp((request, response) => response.end(`for ${request.headers.host!}`));
    origin.listen(0, "127.0.0.1");
    await once(origin, "listening");
    const { port } = origin.address() as AddressInfo;
    const ask = (password: string) =>
      run("curl", [
        "-sS",
        "--socks5-hostname",
        `127.0.0.1:${door.port}`,
        "--proxy-user",
        `app:${password}`,
        `http://db.example.com:${port}/`,
      ]);
    expect(await ask(USER.credential)).toMatchObject({ code: 0, stdout: `for db.example.com:${port}` });
    const refused = await ask(`hf_${"x".repeat(32)}`);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("(2)");
    origin.close();
  });
});

test("a door that stops takes nobody in, and cuts nobody until all are cut", async () => {
  const all = new Admission(new Registry());
  const own = await startSocks(parts.context, { host: "127.0.0.1", port: 0 }, all);
  const user = await dial(own.port);
  user.socket.write(Buffer.concat([handshake(), toIpv4(target.port)]));
  await eventually(() => user.hex() === OPENED, "the tunnel is open");
  own.stop();
  await expect(dial(own.port)).rejects.toThrow("ECONNREFUSED");
  user.socket.write("still");
  await eventually(() => user.bytes().toString() === "still", "it came back");
  all.cut();
  await over(user);
});
