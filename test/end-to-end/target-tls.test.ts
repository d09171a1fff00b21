import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminCall } from "../../client/admin.ts";
import { createRelay, isRelayError } from "../../client/index.ts";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import type { Stack } from "../../dev/stack.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { URL_MAX_BYTES } from "../../protocol/limits.ts";
import { pinOf } from "../support/certificate-chains.ts";
import { testStack } from "../support/stack.ts";

/** What a client's record asks of TLS, from the record to the handshake. No node trusts the private authority by itself. */

let stack: Stack;
let server: Server;
let target: string;
const authority = await createCa("Private CA");
const certificate = await issueCertificate(authority, { dns: ["localhost"], ip: ["127.0.0.1"] });
const other = await createCa("Another CA");
const NOBODYS = `sha256/${"A".repeat(43)}=`;

beforeAll(async () => {
  server = createServer(
    { ...certificate, maxHeaderSize: 65_536 },
    (_request, response) => void response.end("ok"),
  );
  server.on("tlsClientError", () => {}).listen(0, "127.0.0.1");
  await once(server, "listening");
  target = `https://localhost:${(server.address() as AddressInfo).port}`;
  stack = await testStack();
});
afterAll(async () => {
  await stack.stop();
  server.closeAllConnections();
  server.close();
});

let clients = 0;

/** What becomes of a request under a record of its own. */
async function outcome(rule: object | undefined, path = "/", at = target): Promise<string> {
  const id = `tls-${++clients}`;
  const { publicJwk, privateKey } = await generateClientKey();
  const tls = rule === undefined ? [] : [{ target: at, ...rule }];
  const body = { id, keys: [publicJwk], allow: [target], tls };
  await adminCall(stack.operator, "PUT", `/admin/clients/${id}`, { body });
  const relay = createRelay(stack.edge.replace("//", `//${id}:${privateKey}@`));
  try {
    return await (await relay.fetch(`${target}${path}`)).text();
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.reached).toBe("no");
    return `${error.code}: ${error.detail}`;
  }
}

describe("a target with a private certificate", () => {
  test.each([
    ["no rule", undefined, /^tls_certificate: the certificate of localhost was rejected: UNABLE_TO_VERIFY/],
    ["its ca", { ca: authority.cert }, /^ok$/],
    ["its ca and its pin", { ca: authority.cert, pins: [NOBODYS, pinOf(certificate.cert)] }, /^ok$/],
    [
      "another ca",
      { ca: other.cert },
      /^tls_certificate: .* by the ca of the client's record, which replaces/,
    ],
    ["its ca and nobody's pin", { ca: authority.cert, pins: [NOBODYS] }, /^tls_certificate: no key .* pins/],
    ["its pin alone", { pins: [pinOf(certificate.cert)] }, /^tls_certificate: .*UNABLE_TO_VERIFY/],
    [
      "a ca that looks like one",
      { ca: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----" },
      /^tls_certificate: certificate 1 of the ca that the client's record has in its tls entry/,
    ],
  ] as const)("by %s", async (_what, rule, expected) => {
    expect(await outcome(rule)).toMatch(expected);
  });

  test("by an entry of a wildcard", async () => {
    expect(await outcome({ ca: authority.cert }, "/", target.replace("localhost", "*"))).toBe("ok");
  });

  test("by the most that a record may ask, with the longest URL", async () => {
    const pins = [...Array.from({ length: 7 }, () => NOBODYS), pinOf(certificate.cert)];
    const encoded = (pem: string) => pem.split("-----")[2]!.replaceAll(/\s/g, "").length;
    // A private authority's own is small: what is left of the room is filled with one that is none of anything here.
    const room = 8_192 - encoded(authority.cert);
    const big = await createCa(
      "x".repeat(Math.floor(((room - encoded((await createCa("")).cert)) * 0.74) / 2)),
    );
    const ca = `${authority.cert}\n${big.cert}`;
    expect(encoded(authority.cert) + encoded(big.cert)).toBeGreaterThan(8_000);
    const path = `/${"x".repeat(URL_MAX_BYTES - target.length - 1)}`;
    expect(await outcome({ ca, pins, minVersion: "TLSv1.3" }, path)).toBe("ok");
  });
});
