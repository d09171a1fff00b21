import { createHash } from "node:crypto";
import { once } from "node:events";
import { Redis } from "ioredis";
import { BSON, MongoClient } from "mongodb";
import { createConnection as createMysql } from "mysql2/promise";
import { connect as connectSystem, createServer as createSystemServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { createTransport } from "nodemailer";
import pg from "pg";
import { SocksClient } from "socks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  mailSocket,
  mysqlStream,
  pgStream,
  redisConnector,
  startMongoProxy,
} from "../../../client/node/index.ts";
import { createCa, issueCertificate } from "../../../dev/certificates.ts";
import { freePort } from "../../support/stack.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startTcpTarget, type TcpTarget } from "../../support/tcp-target.ts";

/** The drivers' own code, against servers that speak as much of their protocols as a first question takes. */
let relay: StreamRelay;
let keys: { readonly cert: string; readonly key: string };
let ca: string;
const targets: TcpTarget[] = [];

beforeAll(async () => {
  relay = await startStreamRelay();
  const authority = await createCa();
  ca = authority.cert;
  keys = await issueCertificate(authority, { dns: ["localhost"] });
});
afterAll(async () => {
  await relay?.close();
  await Promise.all(targets.map((target) => target.close()));
});

async function serve(handle: (socket: Socket) => void): Promise<TcpTarget> {
  const target = await startTcpTarget(handle);
  targets.push(target);
  return target;
}

/** Turns a connection into a TLS one, and tells the server name that the client asked for. */
function secured(socket: Socket): TLSSocket {
  const secure = new TLSSocket(socket, { isServer: true, ...keys });
  secure.on("error", () => {});
  return secure;
}

const lastTarget = () => relay.seen.at(-1)?.url;

describe("pg", () => {
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const ready = message("Z", Buffer.from("I"));
  const row = Buffer.concat([
    message(
      "T",
      Buffer.concat([
        Buffer.from([0, 1]),
        Buffer.from("n\0"),
        Buffer.alloc(6),
        Buffer.from([0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]),
      ]),
    ),
    message("D", Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 2]), Buffer.from("42")])),
    message("C", Buffer.from("SELECT 1\0")),
    ready,
  ]);
  const postgres = (socket: Socket) => {
    socket.once("data", (first: Buffer) => {
      if (first.readInt32BE(4) === 80_877_103) {
        socket.write("S");
        return postgres(secured(socket));
      }
      socket.write(Buffer.concat([message("R", Buffer.alloc(4)), ready]));
      socket.on("data", (bytes: Buffer) => {
        if (bytes[0] === 0x51) socket.write(row);
        if (bytes[0] === 0x58) socket.end();
      });
    });
  };

  for (const ssl of [false, true]) {
    test(`connects by its stream option, ${ssl ? "with" : "without"} TLS`, async () => {
      const { port } = await serve(postgres);
      const client = new pg.Client({
        host: "localhost",
        port,
        user: "u",
        database: "d",
        ssl: ssl && { ca },
        stream: pgStream(relay.url),
      });
      await client.connect();
      expect((await client.query("select 42 as n")).rows).toEqual([{ n: "42" }]);
      expect(lastTarget()).toBe(`tcp://localhost:${port}`);
      await client.end();
    });
  }

  test("sees the relay's own error", async () => {
    const port = await freePort();
    const client = new pg.Client({ host: "127.0.0.1", port, user: "u", stream: pgStream(relay.url) });
    await expect(client.connect()).rejects.toMatchObject({ name: "RelayError", code: "connect_refused" });
  });
});

test("mysql2 connects by its stream option, to where its own options say", async () => {
  const packet = (number: number, body: Buffer) => {
    const head = Buffer.alloc(4);
    head.writeUIntLE(body.length, 0, 3);
    head[3] = number;
    return Buffer.concat([head, body]);
  };
  const ok = Buffer.from([0, 0, 0, 2, 0, 0, 0]);
  const { port } = await serve((socket) => {
    const greeting = Buffer.concat([
      Buffer.from([10]),
      Buffer.from("8.0.0\0"),
      Buffer.from([1, 0, 0, 0]),
      Buffer.from("12345678\0"),
      Buffer.from([0xff, 0xf7, 33, 2, 0, 0xff, 0x81, 21]),
      Buffer.alloc(10),
      Buffer.from("123456789012\0mysql_native_password\0"),
    ]);
    socket.write(packet(0, greeting));
    socket.once("data", () => {
      socket.write(packet(2, ok));
      socket.on("data", (bytes: Buffer) => (bytes[4] === 1 ? socket.end() : socket.write(packet(1, ok))));
    });
  });
  const connection = await createMysql({
    uri: `mysql://u:p@localhost:${port}/d`,
    stream: mysqlStream(relay.url),
  });
  await connection.ping();
  expect(lastTarget()).toBe(`tcp://localhost:${port}`);
  await connection.end();
});

describe("ioredis", () => {
  const redis = (socket: Socket) => {
    socket.on("data", (bytes: Buffer) => {
      for (const [, command] of bytes.toString().matchAll(/\*[0-9]+\r\n\$[0-9]+\r\n([a-z]+)\r\n/gi)) {
        if (command?.toLowerCase() === "info") socket.write("$15\r\nredis_version:7\r\n");
        else if (command?.toLowerCase() === "get") socket.write("$5\r\nvalue\r\n");
        else socket.write("+OK\r\n");
      }
    });
    socket.on("end", () => socket.end());
  };

  for (const tls of [false, true]) {
    test(`connects by its Connector option, ${tls ? "with" : "without"} TLS`, async () => {
      const { port } = await serve((socket) => redis(tls ? secured(socket) : socket));
      const client = new Redis({
        host: "localhost",
        port,
        ...(tls && { tls: { ca } }),
        Connector: redisConnector(relay.url),
      });
      expect(await client.get("key")).toBe("value");
      expect(lastTarget()).toBe(`tcp://localhost:${port}`);
      client.disconnect();
      await once(client, "end");
    });
  }

  test("leaves a path to the system", async () => {
    const path = join(tmpdir(), `holdfast-redis-${process.pid}.sock`);
    const server = createSystemServer(redis).listen(path);
    await once(server, "listening");
    const before = relay.seen.length;
    const client = new Redis({ path, Connector: redisConnector(relay.url) });
    expect(await client.get("key")).toBe("value");
    expect(relay.seen.length).toBe(before);
    client.disconnect();
    await once(client, "end");
    server.close();
  });

  test("tells the relay's own error, and that it asks no sentinels", async () => {
    const options = { Connector: redisConnector(relay.url), retryStrategy: () => null };
    const refused = new Redis({ host: "127.0.0.1", port: await freePort(), ...options });
    expect((await once(refused, "error"))[0]).toMatchObject({ name: "RelayError", code: "connect_refused" });
    const asking = new Redis({ sentinels: [{ host: "127.0.0.1", port: 1 }], name: "m", ...options });
    expect((await once(asking, "error"))[0]).toMatchObject({ code: "request_invalid" });
  });
});

describe("nodemailer", () => {
  const smtp = (socket: Socket, isSecure = false) => {
    let letter = "";
    let isData = false;
    if (!isSecure) socket.write("220 hello\r\n");
    const onData = (bytes: Buffer) => {
      const line = bytes.toString();
      if (isData) {
        letter += line;
        if (!letter.endsWith("\r\n.\r\n")) return;
        isData = false;
        socket.write(`250 ${createHash("sha256").update(letter).digest("hex")}\r\n`);
      } else if (line.startsWith("EHLO")) {
        socket.write(isSecure ? "250 ok\r\n" : "250-ok\r\n250 STARTTLS\r\n");
      } else if (line.startsWith("STARTTLS")) {
        socket.off("data", onData);
        socket.write("220 go\r\n");
        smtp(secured(socket), true);
      } else if (line.startsWith("DATA")) {
        isData = true;
        socket.write("354 go\r\n");
      } else if (line.startsWith("QUIT")) socket.end("221 bye\r\n");
      else socket.write("250 ok\r\n");
    };
    socket.on("data", onData);
  };

  for (const pool of [false, true]) {
    test(`sends by its getSocket option, with STARTTLS${pool ? ", pooled" : ""}`, async () => {
      const { port } = await serve((socket) => smtp(socket));
      const options = {
        host: "localhost",
        port,
        requireTLS: true,
        tls: { ca },
        getSocket: mailSocket(relay.url),
      };
      const transport = pool ? createTransport({ ...options, pool: true }) : createTransport(options);
      const letter = { from: "a@example.com", to: "b@example.com", text: "hello" };
      const sent = (await transport.sendMail(letter)) as { response: string };
      expect(sent.response).toMatch(/^250 [0-9a-f]{64}/);
      expect(lastTarget()).toBe(`tcp://localhost:${port}`);
      transport.close();
    });
  }

  test("tells the relay's own error", async () => {
    const port = await freePort();
    const transport = createTransport({ host: "127.0.0.1", port, getSocket: mailSocket(relay.url) });
    await expect(transport.verify()).rejects.toMatchObject({
      message: expect.stringMatching(/connect_refused/),
    });
  });
});

describe("mongodb", () => {
  /** Answers each OP_MSG (and the first OP_QUERY) with what a standalone server says of itself. */
  const mongo = (socket: Socket) => {
    let bytes: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 16 && bytes.length >= bytes.readInt32LE(0)) {
        const length = bytes.readInt32LE(0);
        const answer = BSON.serialize({
          ok: 1,
          isWritablePrimary: true,
          helloOk: true,
          minWireVersion: 0,
          maxWireVersion: 25,
          maxBsonObjectSize: 16_777_216,
          maxMessageSizeBytes: 48_000_000,
          maxWriteBatchSize: 100_000,
          logicalSessionTimeoutMinutes: 30,
        });
        const isQuery = bytes.readInt32LE(12) === 2_004;
        const head = Buffer.alloc(isQuery ? 36 : 21);
        head.writeInt32LE(head.length + answer.length, 0);
        head.writeInt32LE(bytes.readInt32LE(4), 8);
        head.writeInt32LE(isQuery ? 1 : 2_013, 12);
        if (isQuery) head.writeInt32LE(1, 32);
        socket.write(Buffer.concat([head, answer]));
        bytes = bytes.subarray(length);
      }
    });
    socket.on("end", () => socket.end());
  };

  test("connects by its proxy options, with TLS to the server itself", async () => {
    const server = createTlsServer(keys, mongo);
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const uri = `mongodb://localhost:${port}/?directConnection=true&tls=true`;
    const proxy = await startMongoProxy(relay.url, { uri });
    const client = new MongoClient(uri, { ...proxy.options, ca });
    expect(await client.db("admin").command({ ping: 1 })).toMatchObject({ ok: 1 });
    expect(lastTarget()).toBe(`tcp://localhost:${port}`);
    await client.close();
    await proxy.close();
    server.close();
  });

  test("has a proxy for its own hosts and with its password alone", async () => {
    const echo = await serve((socket) => void socket.pipe(socket));
    const uri = `mongodb://u:p@localhost:${echo.port},LOCALHOST:1/db`;
    const proxy = await startMongoProxy(relay.url, { uri, members: ["127.0.0.1:2"] });
    const { proxyPort: port, proxyUsername, proxyPassword } = proxy.options;
    const dial = (host: string, to: number, userId = proxyUsername, password = proxyPassword) =>
      SocksClient.createConnection({
        command: "connect",
        proxy: { host: "127.0.0.1", port, type: 5, userId, password },
        destination: { host, port: to },
      });
    const { socket } = await dial("localhost", echo.port);
    socket.write("early");
    expect(String((await once(socket, "data"))[0])).toBe("early");
    socket.end();
    await once(socket, "close");
    const before = relay.seen.length;
    await expect(dial("localhost", echo.port, proxyUsername, "wrong")).rejects.toThrow(/uthentication/);
    await expect(dial("localhost", echo.port, "wrong")).rejects.toThrow(/uthentication/);
    await expect(dial("127.0.0.1", echo.port)).rejects.toThrow(/NotAllowed/);
    await expect(dial("localhost", 2)).rejects.toThrow(/NotAllowed/);
    expect(relay.seen.length).toBe(before);
    await expect(dial("localhost", 1)).rejects.toThrow(/ConnectionRefused/);
    await expect(dial("127.0.0.1", 2)).rejects.toThrow(/ConnectionRefused/);
    await proxy.close();
  });

  test("has a proxy that no garbage can harm", async () => {
    const proxy = await startMongoProxy(relay.url, { uri: "mongodb+srv://cluster.example.com/" });
    for (const bytes of [
      "GET / HTTP/1.1\r\n\r\n",
      "\x05\x01\x00",
      `\x05\x01\x02\x01\x01${"x".repeat(5_000)}`,
      "\x04\x01",
    ]) {
      const socket = connectSystem(proxy.options.proxyPort, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(Buffer.from(bytes, "latin1"));
      socket.resume();
      await once(socket, "close");
      expect(socket.bytesRead).toBeLessThan(16);
    }
    await proxy.close();
  });

  test("needs a connection string", async () => {
    await expect(startMongoProxy(relay.url, { uri: "localhost" })).rejects.toMatchObject({
      code: "request_invalid",
    });
  });
});
