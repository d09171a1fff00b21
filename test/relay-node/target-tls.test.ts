import { once } from "node:events";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createServer, type TlsOptions } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { issueCertificate } from "../../dev/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import type { TlsRules } from "../../protocol/tls-rules.ts";
import { Connections } from "../../relay-node/connections.ts";
import { createDialer } from "../../relay-node/dialer.ts";
import { createGuard } from "../../relay-node/guard.ts";
import { createResolver } from "../../relay-node/resolver.ts";
import { createTlsContexts, tlsRulesKey } from "../../relay-node/tls-rules.ts";
import {
  createIntermediate,
  createRoot,
  derOf,
  forgeAuthority,
  pinOf,
} from "../support/certificate-chains.ts";

/** What a client's record asks of TLS to a target, over real handshakes. The root stands for a public one. */

const IP = { ip: ["127.0.0.1"] };
const root = await createRoot("Public root");
const intermediate = await createIntermediate(root, "Public intermediate");
const privateRoot = await createRoot("Private root");
const [leaf, expired, misnamed, own, direct, selfSigned] = await Promise.all([
  issueCertificate(intermediate, IP),
  issueCertificate(intermediate, { ...IP, days: -1 }),
  issueCertificate(intermediate, { ip: ["127.0.0.2"] }),
  issueCertificate(privateRoot, IP),
  issueCertificate(root, IP),
  issueCertificate("self", IP),
]);
/** Names the root, and has the key of an intermediate that has nothing to do with it. */
const forged = await forgeAuthority(root, intermediate);

const chain = (of: typeof leaf, ...above: string[]) => ({
  key: of.key,
  cert: [of.cert, ...above].join("\n"),
});
const SERVERS = {
  "a public chain": chain(leaf, intermediate.cert),
  "a public chain with its root": chain(leaf, intermediate.cert, root.cert),
  "an expired one": chain(expired, intermediate.cert),
  "one of another name": chain(misnamed, intermediate.cert),
  "a private one": chain(own),
  "a self-signed one": chain(selfSigned),
  "a public one beside a made up issuer": chain(direct, forged),
} satisfies Record<string, TlsOptions>;
type Server = keyof typeof SERVERS;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serve(options: TlsOptions): Promise<number> {
  const server = createServer(options, (socket) => socket.on("error", () => {}).write("hello"));
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const dialer = () =>
  createDialer({
    resolver: createResolver({ servers: ["127.0.0.1:1"], ipv6: false, timeoutMs: 100, tries: 1 }),
    guard: createGuard({ open: ["127.0.0.0/8"], own: () => [] }),
    egress: { ipv4: "127.0.0.1" },
    ca: [root.cert],
  });

/** What came of one handshake: its version, or the failure. Reads what is sent behind it, where TLS 1.3 has its tickets. */
async function visit(
  port: number,
  rules?: TlsRules,
  from = dialer(),
): Promise<{ version?: string | undefined; resumed?: boolean; error?: string; detail?: string }> {
  try {
    const tls = { alpn: [], rules };
    const dialed = await from.dial({ host: "127.0.0.1", port, tls, sessionKey: "app" });
    await once(dialed.socket, "data");
    dialed.socket.destroy();
    return { version: dialed.tlsVersion, resumed: dialed.tlsResumed };
  } catch (error) {
    expect(error).toBeInstanceOf(RelayError);
    expect(error).toMatchObject({ reached: "no" });
    const { code, detail } = error as RelayError;
    return { error: code, detail };
  }
}

const good = { version: "TLSv1.3", resumed: false };
const refused = (detail: string) => ({ error: "tls_certificate", detail: expect.stringContaining(detail) });
const noPin = (of: string) => refused(`among the pins of the client's record: its own is ${pinOf(of)}`);
const NOBODYS = `sha256/${"A".repeat(43)}=`;
const byPin = (...certs: string[]): TlsRules => ({ pins: certs.map((cert) => pinOf(cert)) });

const CASES: readonly [what: string, server: Server, rules: TlsRules | undefined, outcome: object][] = [
  ["no rule", "a public chain", undefined, good],
  ["no rule", "a private one", undefined, refused("UNABLE_TO_VERIFY_LEAF_SIGNATURE")],

  ["its own ca", "a private one", { ca: [derOf(privateRoot.cert)] }, good],
  ["two cas", "a private one", { ca: [derOf(root.cert), derOf(privateRoot.cert)] }, good],
  ["an intermediate as ca", "a public chain", { ca: [derOf(intermediate.cert)] }, good],
  ["itself as ca", "a self-signed one", { ca: [derOf(selfSigned.cert)] }, good],
  ["another ca", "a private one", { ca: [derOf(root.cert)] }, refused("by the ca of the client's record")],
  [
    "a private ca, in place of the public ones",
    "a public chain",
    { ca: [derOf(privateRoot.cert)] },
    refused("which replaces all others"),
  ],
  ["its ca, expired", "an expired one", { ca: [derOf(root.cert)] }, refused("CERT_HAS_EXPIRED")],
  ["a ca that is none", "a private one", { ca: ["MAA="] }, refused("certificate 1 of the ca")],
  [
    "a second ca that is none",
    "a private one",
    { ca: [derOf(privateRoot.cert), "MAA="] },
    refused("certificate 2 of the ca"),
  ],

  ["the leaf's pin", "a public chain", byPin(leaf.cert), good],
  ["the intermediate's pin", "a public chain", byPin(intermediate.cert), good],
  ["the root's pin, which is not sent", "a public chain", byPin(root.cert), good],
  ["the root's pin, which is sent", "a public chain with its root", byPin(root.cert), good],
  ["a backup pin behind it", "a public chain", { pins: [pinOf(leaf.cert), NOBODYS] }, good],
  ["a backup pin before it", "a public chain", { pins: [NOBODYS, pinOf(intermediate.cert)] }, good],
  ["nobody's pin", "a public chain", { pins: [NOBODYS] }, noPin(leaf.cert)],
  ["another leaf's pin", "a public chain", byPin(expired.cert), noPin(leaf.cert)],
  ["the leaf's pin, expired", "an expired one", byPin(expired.cert), refused("CERT_HAS_EXPIRED")],
  [
    "the leaf's pin, of another name",
    "one of another name",
    byPin(misnamed.cert),
    refused("ALTNAME_INVALID"),
  ],
  ["the leaf's pin, of nobody's ca", "a private one", byPin(own.cert), refused("UNABLE_TO_VERIFY")],
  ["the leaf's pin, self-signed", "a self-signed one", byPin(selfSigned.cert), refused("SELF_SIGNED")],
  [
    "a pin that only looks like an issuer's",
    "a public one beside a made up issuer",
    byPin(intermediate.cert),
    noPin(direct.cert),
  ],
  ["a ca and its pin", "a private one", { ca: [derOf(privateRoot.cert)], ...byPin(privateRoot.cert) }, good],
  [
    "a ca and nobody's pin",
    "a private one",
    { ca: [derOf(privateRoot.cert)], pins: [NOBODYS] },
    noPin(own.cert),
  ],
  ["a version", "a public chain", { min: "TLSv1.3" }, good],
  ["a version with a wrong pin", "a public chain", { min: "TLSv1.3", pins: [NOBODYS] }, noPin(leaf.cert)],
];

describe("a handshake", () => {
  test.each(CASES)("by %s with %s", async (_what, server, rules, outcome) => {
    expect(await visit(await serve(SERVERS[server]), rules)).toEqual(outcome);
  });

  test("with a target of an older version than is asked for", async () => {
    const port = await serve({ ...SERVERS["a public chain"], maxVersion: "TLSv1.2" });
    expect(await visit(port, { min: "TLSv1.2" })).toEqual({ ...good, version: "TLSv1.2" });
    expect(await visit(port, { min: "TLSv1.3" })).toEqual({
      error: "tls_failed",
      detail: expect.stringMatching(/PROTOCOL_VERSION \(the client's record asks for TLSv1\.3 at least\)$/),
    });
  });
});

describe.each(["TLSv1.2", "TLSv1.3"] as const)("sessions of %s", (maxVersion) => {
  test("go on under the rules that they were proven by, and under no others", async () => {
    const port = await serve({ ...SERVERS["a public chain"], maxVersion });
    const from = dialer();
    const ca = [derOf(root.cert)];
    const all: (TlsRules | undefined)[] = [undefined, byPin(leaf.cert), byPin(leaf.cert, root.cert), { ca }];
    for (const expected of [false, true]) {
      for (const rules of all) {
        expect([rules, (await visit(port, rules, from)).resumed]).toEqual([rules, expected]);
      }
    }
    // None of those that stand lets a wrong pin through, however often it is asked; nor is one of a failure kept.
    for (let i = 0; i < 2; i++) {
      expect(await visit(port, { pins: [NOBODYS] }, from)).toEqual(noPin(leaf.cert));
    }
  });
});

describe("warm connections", () => {
  test.each(["h2", "http/1.1"])("are used again under the same rules alone: %s", async (protocol) => {
    const options = SERVERS["a public chain"];
    const server =
      protocol === "h2"
        ? createSecureServer(options, (_request, response) => void response.end("ok"))
        : createHttpsServer(options, (_request, response) => void response.end("ok"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => server.close());
    const egress = { assertProven: () => {}, mayLeave: () => true };
    const connections = new Connections(dialer(), egress);
    cleanups.push(() => connections.close());
    const target = parseTargetUrl(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const lease = async (clientId: string, tls?: TlsRules) => {
      const leased = await connections.lease(
        { clientId, target, tls },
        { repeatable: true, exclusive: false },
        new AbortController().signal,
      );
      expect(leased.dialed.alpn).toBe(protocol);
      await new Promise<void>((done, failed) => {
        const { path, authority } = target;
        const request = { method: "GET", path, authority, fields: [], framing: "none", body: null } as const;
        leased.send(request, {
          onRequestStart: () => {},
          onRequestSent: () => {},
          onAnswer: () => {},
          onResponseStart: () => {},
          onResponseData: () => {},
          onResponseEnd: () => done(),
          onResponseError: (_controller, error) => failed(error),
        });
      });
      leased.release();
      await new Promise((done) => setTimeout(done, 20));
      return leased.reused;
    };
    const rules = [undefined, byPin(leaf.cert), byPin(leaf.cert, root.cert), { min: "TLSv1.3" as const }];
    for (const reused of [false, true]) {
      for (const tls of rules) expect([tls, await lease("app", tls)]).toEqual([tls, reused]);
    }
    expect(await lease("other", byPin(leaf.cert))).toBe(false);
    await expect(lease("app", { pins: [NOBODYS] })).rejects.toMatchObject({ code: "tls_certificate" });
  });
});

describe("contexts", () => {
  test("are made once for authorities and version, whatever the pins, and are bounded", () => {
    const contexts = createTlsContexts([], 2);
    const [one, other] = [{ ca: [derOf(root.cert)] }, { ca: [derOf(privateRoot.cert)] }];
    const common = contexts.contextFor(undefined);
    const first = contexts.contextFor(one);
    expect(contexts.contextFor({ ...one, pins: [NOBODYS] })).toBe(first);
    expect(contexts.contextFor({ ...one, min: "TLSv1.3" })).not.toBe(first);
    expect(contexts.contextFor(one)).toBe(first);
    contexts.contextFor(other);
    contexts.contextFor({ ...other, min: "TLSv1.3" });
    expect(contexts.contextFor(one)).not.toBe(first);
    // However many authorities records name, everybody else's is at hand.
    expect(contexts.contextFor({ pins: [NOBODYS] })).toBe(common);
  });

  test("have keys that differ with every rule", () => {
    const rules: (TlsRules | undefined)[] = [
      undefined,
      {},
      { min: "TLSv1.2" },
      { min: "TLSv1.3" },
      { pins: ["a"] },
      { ca: ["a"] },
      { ca: ["a", "b"] },
      { ca: ["ab"] },
    ];
    expect(new Set(rules.map((rule) => tlsRulesKey(rule))).size).toBe(rules.length);
  });
});
