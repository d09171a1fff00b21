import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import { HOST, type ProxyBench, startProxyBench } from "../support/proxy-bench.ts";
import { openRaw, readRaw } from "../support/raw-http.ts";

let bench: ProxyBench;

beforeAll(async () => {
  bench = await startProxyBench();
});
afterAll(() => bench.close());
afterEach(() => bench.reset());

describe("the SOCKS proxy", () => {
  async function say(...messages: number[][]): Promise<number[]> {
    const socket = await openRaw({ port: bench.ports.socks });
    const reading = readRaw(socket);
    // Byte by byte, as a network may deliver it.
    for (const byte of messages.flat()) socket.write(Buffer.from([byte]));
    socket.end();
    return [...Buffer.from(await reading, "latin1")];
  }
  const login = () => [
    1,
    bench.credentials.user.length,
    ...Buffer.from(bench.credentials.user),
    bench.credentials.password.length,
    ...Buffer.from(bench.credentials.password),
  ];
  const name = (host: string, port: number) => [
    5,
    1,
    0,
    3,
    host.length,
    ...Buffer.from(host),
    port >> 8,
    port & 255,
  ];

  test("carries what came right behind the request", async () => {
    const got = await say([5, 2, 0, 2], login(), name("db.relay.test", 5432), [...Buffer.from("early")]);
    expect(got).toEqual([5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...Buffer.from("early")]);
  });

  test("takes nobody without the password", async () => {
    expect(await say([5, 1, 0])).toEqual([5, 0xff]);
    expect(await say([5, 1, 2], [1, 1, 97, 1, 98])).toEqual([5, 2, 1, 1]);
    expect(await say([4, 1, 0, 80, 192, 0, 2, 1, 0])).toEqual([]);
    expect(bench.relay.asked).toEqual([]);
  });

  test.each<[string, number[], number]>([
    ["BIND", [5, 2, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["UDP", [5, 3, 0, 1, 192, 0, 2, 1, 0, 80], 7],
    ["an unknown kind of address", [5, 1, 0, 9, 1], 8],
    ["a name that is none", name("a b", 80), 1],
    ["port 0", name("db.relay.test", 0), 1],
    ["a target that is not allowed", name("denied.relay.test", 80), 2],
  ])("answers %s", async (_, message, reply) => {
    expect(await say([5, 1, 2], login(), message)).toEqual([5, 2, 1, 0, 5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
  });

  test.each([
    ["connect_refused", 5],
    ["dns_failed", 4],
    ["connect_timeout", 6],
    ["edge_unreachable", 1],
  ] as const)("tells %s", async (code, reply) => {
    bench.relay.failWith(new RelayError(code, "no luck"));
    expect((await say([5, 1, 2], login(), name(HOST, 80))).slice(4, 6)).toEqual([5, reply]);
  });
});
