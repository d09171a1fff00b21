import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions, TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import { connectFirst } from "../../relay-node/connect-first.ts";
import { createDialer, type DialerOptions, type DialRequest, type Dialed } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { CONNECT_STAGGER_MS, TLS_SESSION_MAX_SECONDS } from "../../relay-node/limits.ts";
import { LocalPorts } from "../../relay-node/local-ports.ts";
import { createResolver } from "../../relay-node/resolver.ts";
import { createTlsSessions } from "../../relay-node/tls-sessions.ts";
import { startBlackHole } from "../support/black-hole.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";

let dns: DnsServer;
let serial = 0;
const cleanups: (() => unknown)[] = [];
const ca = await createCa("Dialer test CA");
const selfSigned = await issueCertificate("self", { ip: ["127.0.0.1"] });
const strange = await issueCertificate(await createCa("Nobody's CA"), { ip: ["127.0.0.1"] });

beforeAll(async () => {
  dns = await startDnsServer();
});
afterAll(() => dns.close());

const socketsOpen = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;

/** Those of other files that ran in the same process. */
let others = 0;
beforeEach(() => {
  others = socketsOpen();
});

/** Whatever a test did, no socket of its may be left once its servers and the sockets it was given are gone. */
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  for (let waited = 0; socketsOpen() > others && waited < 1_000; waited += 20) await pause(20);
  expect(socketsOpen()).toBeLessThanOrEqual(others);
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const freshName = () => `d${++serial}.example.test`;
const LOOPBACK = ["127.0.0.0/8", "::1/128"];

/**
 * A dialer that could not leave this machine if its guard failed: it binds 127.0.0.1, from which the kernel
 * routes to loopback addresses alone, and IPv6 only where a test asks for it.
 */
function dialerOf(
  options: Partial<DialerOptions> & { open?: string[]; own?: () => string[]; ipv6?: boolean } = {},
) {
  const { open = LOOPBACK, own = () => [], ipv6 = false, ...rest } = options;
  return createDialer({
    resolver: createResolver({ servers: [dns.address], ipv6, timeoutMs: 1_500, tries: 1 }),
    guard: createGuard({ open, own }),
    egress: { ipv4: "127.0.0.1", ...(ipv6 && { ipv6: "::1" }) },
    ca: [ca.cert],
    ...rest,
  });
}

async function dial(
  dialer: ReturnType<typeof dialerOf>,
  request: Omit<DialRequest, "tls"> & Partial<Pick<DialRequest, "tls">>,
): Promise<Dialed> {
  const dialed = await dialer.dial({ tls: false, ...request });
  cleanups.push(() => dialed.socket.destroy());
  return dialed;
}

async function failure(promise: Promise<unknown>): Promise<RelayError> {
  const error = await promise.then(
    () => expect.fail("it did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RelayError);
  expect(error).toMatchObject({ reached: "no" });
  return error as RelayError;
}

interface Listening {
  readonly port: number;
  readonly sockets: Socket[];
}

async function listen(
  server: Server,
  host: string,
  port: number,
  onSocket: (socket: Socket) => unknown,
): Promise<Listening> {
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.push(socket.on("error", () => {}));
    onSocket(socket);
  });
  server.listen({ host, port });
  await once(server, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

const greet = (socket: Socket) => socket.write(`${socket.remoteAddress}\n`);

/** A TCP server that says what address it was called from. */
const serve = (host = "127.0.0.1", port = 0, onSocket: (socket: Socket) => unknown = greet) =>
  listen(createServer({ allowHalfOpen: true }), host, port, onSocket);

/** A TLS server for one name; says the name that it was asked for. */
async function serveTls(
  names: { dns?: string[]; ip?: string[]; days?: number },
  options: TlsOptions = {},
  host = "127.0.0.1",
) {
  const server = createTlsServer({ ...(await issueCertificate(ca, names)), ...options });
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket) =>
    socket.on("error", () => {}).write(`${JSON.stringify(socket.servername)}\n`),
  );
  return listen(server, host, 0, () => {});
}

async function firstLine(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString().trim();
}

describe("reaching a target", () => {
  it("can't leave the machine from 127.0.0.1, which the tests of refusals rely on", async () => {
    const socket = connect({ host: "192.0.2.1", port: 9, localAddress: "127.0.0.1" });
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("EINVAL");
  });

  it("connects by name from the egress address", async () => {
    const { port } = await serve("127.0.0.2");
    const name = freshName();
    dns.set(name, { A: ["127.0.0.2"] });
    const dialer = dialerOf({ egress: { ipv4: "127.0.0.7" } });
    const dialed = await dial(dialer, { host: name, port });
    expect(dialed).toMatchObject({
      address: "127.0.0.2",
      port,
      family: 4,
      egress: "127.0.0.7",
      dnsCached: false,
    });
    expect(dialed).toMatchObject({ alpn: undefined, tlsVersion: undefined, tlsResumed: false });
    expect(await firstLine(dialed.socket)).toBe("127.0.0.7");
    for (const time of Object.values(dialed.timings)) expect(time).toBeGreaterThanOrEqual(0);
    expect(dialed.timings.dns).toBeGreaterThan(0);
    expect((await dial(dialer, { host: name, port })).dnsCached).toBe(true);
  });

  it("connects over IPv6 and to literals", async () => {
    const { port } = await serve("::1");
    const name = freshName();
    dns.set(name, { AAAA: ["::1"] });
    for (const host of [name, "::1"]) {
      const dialed = await dial(dialerOf({ ipv6: true }), { host, port });
      expect(dialed).toMatchObject({ address: "::1", family: 6, egress: "::1" });
    }
  });

  it("reaches localhost without DNS, where it is opened", async () => {
    const { port } = await serve();
    expect((await dial(dialerOf(), { host: "localhost", port })).address).toBe("127.0.0.1");
    expect((await failure(dialerOf({ open: [] }).dial({ host: "localhost", port, tls: false }))).code).toBe(
      "address_refused",
    );
  });

  it("keeps the socket half open where that is asked for", async () => {
    const { port } = await serve("127.0.0.1", 0, (socket) => {
      socket.end("bye");
      socket.resume();
    });
    const { socket } = await dial(dialerOf(), { host: "127.0.0.1", port, allowHalfOpen: true });
    socket.resume();
    await once(socket, "end");
    await pause(20);
    expect(socket.writable).toBe(true);
    const other = await dial(dialerOf(), { host: "127.0.0.1", port });
    other.socket.resume();
    await once(other.socket, "close");
  });

  it.each([0, 20])("survives a target that resets before anyone listens, after %d ms", async (delay) => {
    const { port } = await serve("127.0.0.1", 0, (socket) => {
      setTimeout(() => socket.resetAndDestroy(), delay);
    });
    const outcome = await dial(dialerOf(), { host: "127.0.0.1", port }).catch((error: unknown) => error);
    await pause(50);
    if (outcome instanceof RelayError) {
      // The kernel may know of the reset before the connection was reported.
      expect([delay, outcome.code]).toEqual([0, "connect_failed"]);
      return;
    }
    const { destroyed, errored } = (outcome as Dialed).socket;
    expect([destroyed, errored]).toEqual([true, expect.objectContaining({ code: "ECONNRESET" })]);
  });
});

describe("refusing addresses", () => {
  it.each([
    ["127.0.0.1", "loopback"],
    ["10.0.0.1", "private"],
    ["169.254.169.254", "metadata"],
    ["::1", "loopback"],
    ["::ffff:7f00:1", "ipv4_mapped"],
    ["64:ff9b::7f00:1", "nat64"],
    ["fd00::1", "private"],
  ])("%s as a literal and as an answer", async (address, reason) => {
    const dialer = dialerOf({ open: [], ipv6: true, egress: { ipv4: "127.0.0.1" } });
    const literal = await failure(dialer.dial({ host: address, port: 9, tls: false }));
    expect(literal).toMatchObject({ code: "address_refused", detail: `${address} is refused: ${reason}` });
    const name = freshName();
    dns.set(name, address.includes(":") ? { AAAA: [address] } : { A: [address] });
    const answer = await failure(dialer.dial({ host: name, port: 9, tls: false }));
    expect(answer).toMatchObject({
      code: "address_refused",
      detail: `${name} has an address that is refused: ${reason}`,
    });
    expect(answer.message).not.toContain(address);
  });

  it.each([
    ["among good ones", { A: ["127.0.0.1", "10.0.0.1"] }],
    ["last of many", { A: [...Array.from({ length: 12 }, (_, n) => `127.0.0.${n + 1}`), "192.168.0.1"] }],
    ["of a family that is not even used", { A: ["127.0.0.1"], AAAA: ["fd00::1"] }],
  ])("refuses a name with one bad address %s", async (_where, record) => {
    const { port, sockets } = await serve();
    const name = freshName();
    dns.set(name, record);
    const dialer = dialerOf({ ipv6: true, egress: { ipv4: "127.0.0.1" } });
    expect((await failure(dialer.dial({ host: name, port, tls: false }))).code).toBe("address_refused");
    expect(sockets).toHaveLength(0);
  });

  it("asks once for each dial, and judges each new answer", async () => {
    const { port } = await serve();
    const name = freshName();
    let time = 0;
    const resolver = createResolver({
      servers: [dns.address],
      ipv6: false,
      timeoutMs: 300,
      tries: 1,
      now: () => time,
    });
    const dialer = dialerOf({ resolver });
    dns.set(name, { A: ["127.0.0.1"], ttl: 1 });
    const dialed = dial(dialer, { host: name, port });
    while (dns.count(name) === 0) await pause(1);
    dns.set(name, { A: ["10.0.0.1"], ttl: 1 });
    expect((await dialed).address).toBe("127.0.0.1");
    expect(dns.count(name)).toBe(1);
    time += 1_000;
    expect((await failure(dialer.dial({ host: name, port, tls: false }))).code).toBe("address_refused");
  });

  it("judges the very address again right before it connects", async () => {
    const { port, sockets } = await serve();
    let asked = 0;
    const dialer = dialerOf({ own: () => (++asked > 1 ? ["127.0.0.1"] : []) });
    const error = await failure(dialer.dial({ host: "127.0.0.1", port, tls: false }));
    expect(error).toMatchObject({ code: "address_refused", detail: "127.0.0.1 is refused: own" });
    expect([asked, sockets.length]).toEqual([2, 0]);
  });

  it("uses no family without an egress", async () => {
    const { port, sockets } = await serve("::1");
    const name = freshName();
    dns.set(name, { AAAA: ["::1"] });
    const dialer = dialerOf({ ipv6: true, egress: { ipv4: "127.0.0.1" } });
    const error = await failure(dialer.dial({ host: name, port, tls: false }));
    expect(error).toMatchObject({ code: "connect_failed", detail: expect.stringContaining("IPv6") });
    expect(sockets).toHaveLength(0);
  });
});

describe("trying several addresses", () => {
  it("starts the next one beside a silent one, and leaves no loser", async () => {
    const hole = await startBlackHole("127.0.0.3");
    cleanups.push(() => hole.close());
    await serve("127.0.0.4", hole.port);
    const name = freshName();
    dns.set(name, { A: ["127.0.0.3", "127.0.0.4"] });
    const before = process.getActiveResourcesInfo().length;
    const begin = performance.now();
    const { address, timings } = await dial(dialerOf(), { host: name, port: hole.port });
    expect(address).toBe("127.0.0.4");
    // Node's timers count from when their turn began, which the dial was before, and the first connect may be after.
    expect(performance.now() - begin).toBeGreaterThan(CONNECT_STAGGER_MS - 1);
    expect(timings.connect).toBeLessThan(CONNECT_STAGGER_MS + 500);
    await pause(20);
    // The connection, both of its ends.
    expect(process.getActiveResourcesInfo().length - before).toBeLessThanOrEqual(2);
  });

  it("starts the next one at once when one fails", async () => {
    const { port } = await serve("127.0.0.4");
    const name = freshName();
    dns.set(name, { A: ["127.0.0.5", "127.0.0.6", "127.0.0.4"] });
    const { address, timings } = await dial(dialerOf(), { host: name, port });
    expect(address).toBe("127.0.0.4");
    expect(timings.connect).toBeLessThan(CONNECT_STAGGER_MS - 50);
  });

  it("falls back to the other family", async () => {
    const { port } = await serve("::1");
    const name = freshName();
    dns.set(name, { A: ["127.0.0.5"], AAAA: ["::1"] });
    expect((await dial(dialerOf({ ipv6: true }), { host: name, port })).family).toBe(6);
  });

  it("keeps every failure as the cause", async () => {
    const { port } = await serve("127.0.0.9");
    const name = freshName();
    dns.set(name, { A: ["127.0.0.5", "127.0.0.6"] });
    const error = await failure(dialerOf().dial({ host: name, port, tls: false }));
    expect(error).toMatchObject({
      code: "connect_refused",
      cause: { errors: [{ code: "ECONNREFUSED" }, { code: "ECONNREFUSED" }] },
    });
  });
});

describe("a local port that is taken", () => {
  /** From 127.0.0.7, where the one port that is chosen has a listener, to a name with two addresses. */
  async function takenPort(options: Parameters<typeof dialerOf>[0] = {}) {
    const { port: local } = await serve("127.0.0.7");
    const ports = new LocalPorts([local, local]);
    const name = freshName();
    dns.set(name, { A: ["127.0.0.2", "127.0.0.3"] });
    return { name, local, dialer: dialerOf({ egress: { ipv4: "127.0.0.7" }, ports, ...options }) };
  }

  it("moves no connection to another address of the name", async () => {
    const { name, local, dialer } = await takenPort();
    const { port } = await serve("127.0.0.2");
    const beside = await serve("127.0.0.3", port);
    const { address, socket } = await dial(dialer, { host: name, port });
    expect(address).toBe("127.0.0.2");
    expect(await firstLine(socket)).toBe("127.0.0.7");
    expect(socket.localPort).not.toBe(local);
    expect(beside.sockets).toHaveLength(0);
  });

  it("fails no address but by what comes of another port", async () => {
    const { name, dialer } = await takenPort();
    const { port, sockets } = await serve("127.0.0.3");
    expect((await dial(dialer, { host: name, port })).address).toBe("127.0.0.3");
    expect(sockets).toHaveLength(1);
    const other = await takenPort();
    const { port: closed } = await serve("127.0.0.9");
    expect(await failure(other.dialer.dial({ host: other.name, port: closed, tls: false }))).toMatchObject({
      code: "connect_refused",
      cause: { errors: [{ code: "ECONNREFUSED" }, { code: "ECONNREFUSED" }] },
    });
  });

  it("has the address judged again", async () => {
    let asked = 0;
    // Both answers, and the first try.
    const own = () => (++asked > 3 ? ["127.0.0.2"] : []);
    const { name, dialer } = await takenPort({ own });
    const { port, sockets } = await serve("127.0.0.2");
    const error = await failure(dialer.dial({ host: name, port, tls: false }));
    expect([error.code, asked, sockets.length]).toEqual(["address_refused", 4, 0]);
  });
});

describe("a candidate that is opened again", () => {
  it("has no more time for it", async () => {
    const hole = await startBlackHole("127.0.0.3");
    cleanups.push(() => hole.close());
    const tries: number[] = [];
    const began = performance.now();
    const connecting = connectFirst({
      what: "a hole",
      candidates: ["127.0.0.3"],
      open: (host, tried) => {
        tries.push(tried);
        const socket = connect({ host, port: hole.port });
        if (tried < 2) setTimeout(() => socket.destroy(new Error("again")), 100);
        return socket;
      },
      again: (error) => error.message === "again",
      deadlineMs: 300,
    });
    expect(await failure(connecting)).toMatchObject({ code: "connect_timeout" });
    expect(tries).toEqual([0, 1, 2]);
    expect(performance.now() - began).toBeLessThan(480);
  });
});

describe("failing to connect", () => {
  it("tells a refusal, a silence and a missing egress address apart", async () => {
    const hole = await startBlackHole("127.0.0.3");
    cleanups.push(() => hole.close());
    const to = (host: string, options: Partial<DialerOptions> = {}) =>
      dialerOf(options).dial({ host, port: hole.port, tls: false });
    expect(await failure(to("127.0.0.5"))).toMatchObject({
      code: "connect_refused",
      cause: { code: "ECONNREFUSED" },
    });
    expect(await failure(to("127.0.0.3", { connectDeadlineMs: 150 }))).toMatchObject({
      code: "connect_timeout",
    });
    // An address that no interface has: the bind fails, nothing is sent.
    const unbound = await failure(to("127.0.0.5", { egress: { ipv4: "203.0.113.9" } }));
    expect(unbound).toMatchObject({ code: "connect_failed", cause: { code: "EADDRNOTAVAIL" } });
    const badPort = await failure(dialerOf().dial({ host: "127.0.0.5", port: 70_000, tls: false }));
    expect(badPort).toMatchObject({ code: "connect_failed", cause: { code: "ERR_SOCKET_BAD_PORT" } });
  });

  it.each([{ ipv4: "eth0" }, { ipv4: "::1" }, { ipv6: "127.0.0.1" }, { ipv4: "" }])(
    "takes no egress of %j",
    (egress) => {
      expect(() => dialerOf({ egress })).toThrow(JSON.stringify(Object.values(egress)[0]));
    },
  );

  it("passes failures of DNS on", async () => {
    expect((await failure(dialerOf().dial({ host: freshName(), port: 9, tls: false }))).code).toBe(
      "dns_failed",
    );
  });

  it.each(["before", "dns", "connect", "tls"])("ends with the signal's reason: %s", async (phase) => {
    const reason = new Error("gone");
    const name = freshName();
    dns.set(name, { A: phase === "dns" ? "drop" : ["127.0.0.3"] });
    let port: number;
    if (phase === "connect") {
      const hole = await startBlackHole("127.0.0.3");
      cleanups.push(() => hole.close());
      ({ port } = hole);
    } else ({ port } = await serve("127.0.0.3", 0, () => {}));
    const abort = new AbortController();
    if (phase === "before") abort.abort(reason);
    else setTimeout(() => abort.abort(reason), 60);
    const tls = phase === "tls" && { alpn: [] };
    await expect(dialerOf().dial({ host: name, port, tls, signal: abort.signal })).rejects.toBe(reason);
  });
});

describe("TLS", () => {
  it("checks the name and negotiates a protocol", async () => {
    const name = freshName();
    dns.set(name, { A: ["127.0.0.1"] });
    const { port } = await serveTls({ dns: [name] }, { ALPNProtocols: ["h2", "http/1.1"] });
    const dialed = await dial(dialerOf(), { host: name, port, tls: { alpn: ["h2", "http/1.1"] } });
    expect(dialed).toMatchObject({
      alpn: "h2",
      tlsVersion: "TLSv1.3",
      tlsResumed: false,
      egress: "127.0.0.1",
    });
    expect(dialed.socket).toBeInstanceOf(TLSSocket);
    expect(dialed.timings.tls).toBeGreaterThan(0);
    expect(await firstLine(dialed.socket)).toBe(JSON.stringify(name));
    const other = await dial(dialerOf(), { host: name, port, tls: { alpn: ["http/1.1"] } });
    expect(other.alpn).toBe("http/1.1");
    expect((await dial(dialerOf(), { host: name, port, tls: { alpn: [] } })).alpn).toBeUndefined();
  });

  it("checks a literal against the certificate's addresses, without SNI", async () => {
    const { port } = await serveTls({ ip: ["127.0.0.1"] });
    const { socket } = await dial(dialerOf(), { host: "127.0.0.1", port, tls: { alpn: [] } });
    expect(await firstLine(socket)).toBe("false");
    const over6 = await serveTls({ ip: ["::1"] }, {}, "::1");
    await dial(dialerOf({ ipv6: true }), { host: "::1", port: over6.port, tls: { alpn: [] } });
    const mismatch = await serveTls({ ip: ["127.0.0.2"], dns: ["127.0.0.1"] });
    const error = await failure(
      dialerOf().dial({ host: "127.0.0.1", port: mismatch.port, tls: { alpn: [] } }),
    );
    expect(error).toMatchObject({
      code: "tls_certificate",
      detail: expect.stringContaining("ERR_TLS_CERT_ALTNAME_INVALID"),
    });
  });

  it("speaks TLS 1.2", async () => {
    const { port } = await serveTls({ ip: ["127.0.0.1"] }, { maxVersion: "TLSv1.2" });
    expect((await dial(dialerOf(), { host: "127.0.0.1", port, tls: { alpn: [] } })).tlsVersion).toBe(
      "TLSv1.2",
    );
  });

  it.each([
    ["another name", { dns: ["other.example.test"] }, {}, "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["an expired certificate", { ip: ["127.0.0.1"], days: -1 }, {}, "CERT_HAS_EXPIRED"],
    ["a self-signed certificate", {}, selfSigned, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["an unknown issuer", {}, strange, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ])("rejects %s", async (_what, names, options, code) => {
    const { port } = await serveTls(names, options);
    const error = await failure(dialerOf().dial({ host: "127.0.0.1", port, tls: { alpn: [] } }));
    expect(error).toMatchObject({
      code: "tls_certificate",
      detail: expect.stringContaining(code),
      cause: { code },
      retryable: false,
    });
  });

  it("trusts nothing but the default roots where no authority is added", async () => {
    const { port } = await serveTls({ ip: ["127.0.0.1"] });
    expect(
      (await failure(dialerOf({ ca: [] }).dial({ host: "127.0.0.1", port, tls: { alpn: [] } }))).code,
    ).toBe("tls_certificate");
  });

  it("leaves no socket where the handshake can't begin", async () => {
    const { port, sockets } = await serve("127.0.0.1", 0, (socket) => socket.resume());
    const tls = { alpn: ["x".repeat(256)] };
    await expect(dialerOf().dial({ host: "127.0.0.1", port, tls })).rejects.toThrow("must be <= 255");
    await expect.poll(() => sockets.map((socket) => socket.readableEnded)).toEqual([true]);
  });

  it("fails on what is no handshake", async () => {
    const request = (port: number) => ({ host: "127.0.0.1", port, tls: { alpn: ["h2"] } });
    const plain = await serve(
      "127.0.0.1",
      0,
      (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    const closing = await serve("127.0.0.1", 0, (socket) => socket.once("data", () => socket.end()));
    const resetting = await serve("127.0.0.1", 0, (socket) =>
      socket.once("data", () => socket.resetAndDestroy()),
    );
    const silent = await serve("127.0.0.1", 0, () => {});
    const otherProtocol = await serveTls({ ip: ["127.0.0.1"] }, { ALPNProtocols: ["http/1.1"] });
    const old = await serveTls(
      { ip: ["127.0.0.1"] },
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
    );
    for (const { port } of [plain, closing, resetting, otherProtocol, old]) {
      expect((await failure(dialerOf().dial(request(port)))).code).toBe("tls_failed");
    }
    const error = await failure(dialerOf({ tlsDeadlineMs: 100 }).dial(request(silent.port)));
    expect(error).toMatchObject({ code: "tls_failed", detail: expect.stringContaining("within 100 ms") });
  });
});

describe("TLS sessions", () => {
  /** Reads the greeting, after which TLS 1.3 has delivered its tickets. */
  async function visit(dialer: ReturnType<typeof dialerOf>, request: DialRequest): Promise<boolean> {
    const { socket, tlsResumed } = await dial(dialer, request);
    await firstLine(socket);
    socket.destroy();
    return tlsResumed;
  }

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "are resumed under the key they were made under: %s",
    async (maxVersion) => {
      const { port } = await serveTls({ ip: ["127.0.0.1"] }, { maxVersion });
      const dialer = dialerOf();
      const request = { host: "127.0.0.1", port, tls: { alpn: [] } };
      const resumed: boolean[] = [];
      for (const sessionKey of ["a", "a", "b", "b", undefined, undefined, "a"]) {
        resumed.push(await visit(dialer, { ...request, sessionKey }));
      }
      expect(resumed).toEqual([false, true, false, true, false, false, true]);
    },
  );

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "end with their time, however often resumed: %s",
    async (maxVersion) => {
      const { port } = await serveTls({ ip: ["127.0.0.1"] }, { maxVersion });
      let time = 0;
      const dialer = dialerOf({ now: () => time });
      const request = { host: "127.0.0.1", port, tls: { alpn: [] }, sessionKey: "a" };
      const resumed: boolean[] = [];
      for (const seconds of [0, TLS_SESSION_MAX_SECONDS / 2, TLS_SESSION_MAX_SECONDS / 2 - 1, 1, 1]) {
        time += seconds * 1_000;
        resumed.push(await visit(dialer, request));
      }
      expect(resumed).toEqual([false, true, true, false, true]);
    },
  );

  it("live no longer for being renewed", () => {
    let time = 0;
    const sessions = createTlsSessions(() => time);
    sessions.renew("a", Buffer.from("without a first"));
    expect(sessions.get("a")).toBeUndefined();
    sessions.put("a", Buffer.from("first"));
    time = (TLS_SESSION_MAX_SECONDS - 1) * 1_000;
    sessions.renew("a", Buffer.from("second"));
    expect(sessions.get("a")?.toString()).toBe("second");
    time += 1_000;
    expect(sessions.get("a")).toBeUndefined();
  });

  it("are bounded in number", () => {
    const sessions = createTlsSessions(() => 0, 2);
    for (const key of ["a", "b", "c"]) sessions.put(key, Buffer.from(key));
    expect(["a", "b", "c"].map((key) => sessions.get(key)?.toString())).toEqual([undefined, "b", "c"]);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "never stand in for a certificate's name: %s",
    async (maxVersion) => {
      const good = freshName();
      const bad = freshName();
      for (const name of [good, bad]) dns.set(name, { A: ["127.0.0.1"] });
      const { port } = await serveTls({ dns: [good] }, { maxVersion });
      const dialer = dialerOf();
      const request = { port, tls: { alpn: [] }, sessionKey: "a" };
      await visit(dialer, { ...request, host: good });
      for (let i = 0; i < 2; i++) {
        // A session kept from the first failure would let the second attempt through.
        expect((await failure(dialer.dial({ ...request, host: bad }))).code).toBe("tls_certificate");
      }
      expect(await visit(dialer, { ...request, host: good })).toBe(true);
    },
  );

  it("fall back to a whole handshake where the target has forgotten them", async () => {
    const first = await serveTls({ ip: ["127.0.0.1"] });
    const dialer = dialerOf();
    const request = { host: "127.0.0.1", port: first.port, tls: { alpn: [] }, sessionKey: "a" };
    await visit(dialer, request);
    await cleanups.pop()!();
    await cleanups.pop()!();
    const server = createTlsServer(await issueCertificate(ca, { ip: ["127.0.0.1"] }));
    server.on("secureConnection", (socket) => socket.on("error", () => {}).write("hello\n"));
    await listen(server, "127.0.0.1", first.port, () => {});
    expect(await visit(dialer, request)).toBe(false);
    expect(await visit(dialer, request)).toBe(true);
  });
});
