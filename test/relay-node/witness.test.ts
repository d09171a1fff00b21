import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import type { NodeConfig } from "../../relay-node/config.ts";
import { createGetText } from "../../relay-node/get-text.ts";
import { relayTls } from "../../relay-node/relay-tls.ts";
import { WITNESS_ANSWER_MAX_BYTES } from "../../relay-node/limits.ts";
import type { Report } from "../../relay-node/proof.ts";
import { createResolver } from "../../relay-node/resolver.ts";
import { createAskWitness, witnessesOf } from "../../relay-node/witness.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { startWitness, type Witness } from "../support/witness.ts";

let dns: DnsServer;
let witness: Witness;
beforeAll(async () => {
  dns = await startDnsServer();
  dns.set("witness.example.test", { A: ["127.0.0.1"], AAAA: ["::1"] });
});
beforeEach(async () => {
  witness = await startWitness({ host: "::" });
});
afterEach(() => witness.close());
afterAll(() => dns.close());

function ask(url: string, family: 4 | 6 = 4, ca?: string): Promise<Report> {
  const resolver = createResolver({ servers: [dns.address], ipv6: true, timeoutMs: 500, tries: 1 });
  const from = { family, bind: family === 4 ? "127.0.0.2" : "::1" } as const;
  return createAskWitness(createGetText(resolver, relayTls(ca)))({ name: "w", url: new URL(url) }, from);
}

describe("a witness", () => {
  test.each([
    { what: "an address", host: "127.0.0.1", family: 4, saw: "127.0.0.2" },
    { what: "an IPv6 literal", host: "[::1]", family: 6, saw: "::1" },
    { what: "localhost", host: "localhost", family: 6, saw: "::1" },
    {
      what: "a name, by the node's own name servers",
      host: "witness.example.test",
      family: 4,
      saw: "127.0.0.2",
    },
    { what: "the same name by the other family", host: "witness.example.test", family: 6, saw: "::1" },
  ] as const)(
    "named by $what is asked from the bound address of the family",
    async ({ host, family, saw }) => {
      expect(await ask(`http://${host}:${witness.port}/whoami`, family)).toEqual({ witness: "w", saw });
    },
  );

  test("is sent its path, query and name, over a new connection each time", async () => {
    const seen: unknown[] = [];
    const ports = new Set<number | undefined>();
    witness.answer = ({ method, url, headers, socket }, response) => {
      seen.push([method, url, headers.host]);
      ports.add(socket.remotePort);
      response.end('{"address":"127.0.0.2"}');
    };
    const url = `http://witness.example.test:${witness.port}/a/b?c=%20d`;
    await ask(url);
    await ask(url);
    const line = ["GET", "/a/b?c=%20d", `witness.example.test:${witness.port}`];
    expect(seen).toEqual([line, line]);
    expect(ports.size).toBe(2);
  });

  test.each([
    { body: '{"address":"203.0.113.10","more":1}', saw: "203.0.113.10" },
    { body: '{"address":"::ffff:203.0.113.10"}', saw: "203.0.113.10" },
    { body: '{"address":"2001:DB8::7"}', saw: "2001:DB8::7" },
  ])("may answer $body", async ({ body, saw }) => {
    witness.answer = (_request, response) => response.end(body);
    expect(await ask(witness.url)).toEqual({ witness: "w", saw });
  });

  test.each([
    { what: "no JSON", body: "203.0.113.10" },
    { what: "no object", body: "null" },
    { what: "no address in it", body: '{"ip":"203.0.113.10"}' },
    { what: "a number", body: '{"address":3405803786}' },
    { what: "a name", body: '{"address":"api.bank.com"}' },
    { what: "an address in another notation", body: '{"address":"0xcb00710a"}' },
    { what: "a list of addresses", body: '{"address":"203.0.113.10, 198.51.100.9"}' },
    { what: "a line break", body: '{"address":"203.0.113.10\\n"}' },
    { what: "nothing", body: "" },
  ])("that answers $what tells nothing", async ({ body }) => {
    witness.answer = (_request, response) => response.end(body);
    expect(await ask(witness.url)).toEqual({ witness: "w", silent: "answered no address" });
  });

  test("that redirects is not followed", async () => {
    const other = await startWitness();
    witness.answer = (_request, response) => response.writeHead(302, { Location: other.url }).end();
    expect(await ask(witness.url)).toEqual({ witness: "w", silent: "answered 302" });
    expect(other.asked).toBe(0);
    await other.close();
  });

  test.each([404, 500, 204])("that answers %i tells nothing, whatever its body says", async (status) => {
    witness.answer = (_request, response) => response.writeHead(status).end('{"address":"127.0.0.2"}');
    expect(await ask(witness.url)).toEqual({ witness: "w", silent: `answered ${status}` });
  });

  test("that answers without end is cut off", async () => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    witness.answer = (_request, response) => {
      const timer = setInterval(() => response.write(" ".repeat(WITNESS_ANSWER_MAX_BYTES)), 5);
      response.once("close", () => {
        clearInterval(timer);
        end();
      });
    };
    expect(await ask(witness.url)).toEqual({ witness: "w", silent: "answered at too great length" });
    await ended;
  });

  test.each([
    { what: "never answers", answer: undefined },
    { what: "never ends its answer", answer: '{"address":' },
  ])("that $what is given up in time", async ({ answer }) => {
    witness.answer = (_request, response) => void (answer !== undefined && response.write(answer));
    expect(await ask(witness.url)).toEqual({ witness: "w", silent: "no answer within 3 s" });
  });

  test.each([
    { what: "closes", url: () => witness.url, silent: "ECONNRESET" },
    { what: "does not listen", url: () => "http://127.0.0.1:1/", silent: "ECONNREFUSED" },
    { what: "has no name", url: () => "http://nobody.example.test/", silent: "dns_failed" },
    { what: "has no address of the family", url: () => "http://[::1]/", silent: "no IPv4 address" },
  ])("that $what tells nothing", async ({ url, silent }) => {
    witness.tell = () => undefined;
    expect(await ask(url())).toEqual({ witness: "w", silent });
  });
});

describe("a witness over TLS", () => {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-witness-"));
  afterAll(() => rmSync(dir, { recursive: true }));

  test("must show a certificate for its name, of an authority that the node trusts", async () => {
    const ca = await createCa("Witness test CA");
    writeFileSync(join(dir, "ca.pem"), ca.cert);
    const keys = await issueCertificate(ca, { dns: ["witness.example.test"], ip: [] });
    let asked = 0;
    const server = createServer(keys, (request, response) => {
      asked++;
      response.end(JSON.stringify({ address: request.socket.remoteAddress }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    dns.set("other.example.test", { A: ["127.0.0.1"] });
    const trusted = join(dir, "ca.pem");
    expect(await ask(`https://witness.example.test:${port}/`, 4, trusted)).toEqual({
      witness: "w",
      saw: "127.0.0.2",
    });
    const refused = [
      await ask(`https://witness.example.test:${port}/`),
      await ask(`https://other.example.test:${port}/`, 4, trusted),
      await ask(`https://127.0.0.1:${port}/`, 4, trusted),
    ];
    expect(refused.map((report) => "silent" in report && report.silent)).toEqual([
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ]);
    expect(asked).toBe(1);
    server.closeAllConnections();
    server.close();
  });
});

describe("whom a node asks", () => {
  const peer = (id: string, ...addresses: string[]) => ({
    id,
    url: `https://${id}.example.com:8443`,
    key: {},
    addresses,
  });
  const config = (changes: object) =>
    ({
      edge: "https://edge.example.com",
      egress: {
        ipv4: { bind: "10.0.0.5", public: "203.0.113.10" },
        ipv6: { bind: "2001:db8::7", public: "2001:db8::7" },
      },
      peers: [],
      witnesses: [],
      ...changes,
    }) as unknown as NodeConfig;

  test("is the edge, then peers on other hosts, then those that are configured", () => {
    const told = witnessesOf(
      config({
        peers: [
          peer("node-2", "203.0.113.20"),
          peer("same-4", "203.0.113.10", "2001:db8::9"),
          peer("same-6", "203.0.113.30", "2001:DB8::0:7"),
        ],
        witnesses: ["https://ip.example.net/secret-path?k=v"],
      }),
    );
    expect(told.map(({ name, url }) => [name, url.href])).toEqual([
      ["edge", "https://edge.example.com/whoami"],
      ["node-2", "https://node-2.example.com:8443/whoami"],
      ["ip.example.net", "https://ip.example.net/secret-path?k=v"],
    ]);
  });
});
