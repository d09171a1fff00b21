import { describe, expect, test } from "vitest";
import { createCa } from "../../dev/certificates.ts";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { areTlsRules } from "../../protocol/tls-rules.ts";
import { loadClient, parseClientRecord } from "../../worker/clients.ts";
import { tlsRulesFor } from "../../worker/target-tls.ts";
import { derOf } from "../support/certificate-chains.ts";

const { publicJwk } = await generateClientKey();
const [one, two] = [(await createCa("One")).cert, (await createCa("Two")).cert];
const PIN = `sha256/${"A".repeat(43)}=`;
const TARGET = "https://api.bank.com";

const recordWith = (tls: unknown) => ({ id: "shop", keys: [publicJwk], allow: [], tls });

function problems(tls: unknown): string {
  try {
    parseClientRecord(recordWith(tls));
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.code).toBe("request_invalid");
    return error.detail;
  }
  return expect.fail("it was taken");
}

async function rulesFor(tls: unknown, url: string) {
  const { tls: rules } = await loadClient(parseClientRecord(recordWith(tls)));
  return tlsRulesFor(rules, parseTargetUrl(url));
}

/** One SEQUENCE with so many bytes in it, as PEM of its characters in base64. */
function pemOf(bytes: number): string {
  const der = Buffer.alloc(bytes + 4);
  der.set([0x30, 0x82, bytes >> 8, bytes & 255]);
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
}

describe("what a record asks of TLS", () => {
  test.each([
    ["nothing", []],
    ["a ca", [{ target: TARGET, ca: one }]],
    ["two, with comments between them", [{ target: TARGET, ca: `# One\n${one}\n# Two\r\n${two}\n` }]],
    ["with line ends of Windows", [{ target: TARGET, ca: one.replaceAll("\n", "\r\n") }]],
    ["pins", [{ target: `${TARGET}:8443`, pins: [PIN, PIN.replace("A=", "E=")] }]],
    ["a version", [{ target: "https://*", minVersion: "TLSv1.2" }]],
    ["the largest ca", [{ target: TARGET, ca: pemOf(6_140) }]],
    [
      "one host at several ports, and a wildcard",
      [`${TARGET}:8443`, TARGET, "https://*.bank.com"].map((target) => ({ target, pins: [PIN] })),
    ],
  ])("%s is taken", (_what, tls) => {
    expect(parseClientRecord(recordWith(tls))).toEqual(recordWith(tls));
  });

  test.each([
    ["no list", {}, "tls must be of type array"],
    ["an unknown member", [{ target: TARGET, pins: [PIN], verify: false }], "tls.0 has unknown keys: verify"],
    ["no rule", [{ target: TARGET }], "tls.0 must hold a ca, pins or a minVersion"],
    ["no target", [{ pins: [PIN] }], "tls.0.target must be of type string"],
    [
      "a path",
      [{ target: `${TARGET}/v1/*`, pins: [PIN] }],
      "tls.0.target must be an https:// target without path",
    ],
    [
      "a method",
      [{ target: `GET ${TARGET}`, pins: [PIN] }],
      "tls.0.target must be an https:// target without path",
    ],
    ["plain http", [{ target: "http://a.test", pins: [PIN] }], "tls.0.target must be an https:// target"],
    ["tcp", [{ target: "tcp://a.test:1", pins: [PIN] }], "tls.0.target must be an https:// target"],
    [
      "a bare host",
      [{ target: "a.test", pins: [PIN] }],
      'tls.0.target allow entry "a.test" is not of the form',
    ],
    [
      "an older version",
      [{ target: TARGET, minVersion: "TLSv1.1" }],
      "tls.0.minVersion must be TLSv1.2 or TLSv1.3",
    ],
    ["no pin", [{ target: TARGET, pins: [] }], "tls.0.pins must hold at least one pin"],
    [
      "nine",
      [{ target: TARGET, pins: Array.from({ length: 9 }, () => PIN) }],
      "tls.0.pins must hold at most 8 pins",
    ],
    ["a pin of SHA-1", [{ target: TARGET, pins: ["sha1/AAAA"] }], "tls.0.pins.0 must be sha256/ and"],
    [
      "one in base64url",
      [{ target: TARGET, pins: [PIN.replace("AA", "-_")] }],
      "tls.0.pins.0 must be sha256/ and",
    ],
    [
      "one with unused bits set",
      [{ target: TARGET, pins: [PIN.replace("A=", "B=")] }],
      "tls.0.pins.0 must be sha256/",
    ],
    ["a ca that is none", [{ target: TARGET, ca: "ca.pem" }], "tls.0.ca must be certificates in PEM"],
    ["an empty one", [{ target: TARGET, ca: "" }], "tls.0.ca must be certificates in PEM"],
    [
      "a ca without its end",
      [{ target: TARGET, ca: one + two.slice(0, -30) }],
      "tls.0.ca must be certificates in PEM",
    ],
    [
      "a ca with a key",
      [{ target: TARGET, ca: one + one.replaceAll("CERTIFICATE", "PRIVATE KEY") }],
      "tls.0.ca must hold certificates alone, and no PRIVATE KEY",
    ],
    [
      "a ca that is cut",
      [{ target: TARGET, ca: one + two.replace(/\n.{64}/, "") }],
      "tls.0.ca has a certificate 2 that is cut or no DER",
    ],
    [
      "a ca that is no base64",
      [{ target: TARGET, ca: one.replace(/\nM/, "\n=") }],
      "tls.0.ca has a certificate 1 that is cut or no DER",
    ],
    [
      "too large a ca",
      [{ target: TARGET, ca: pemOf(6_143) }],
      "tls.0.ca must have at most 8192 characters of base64, it has 8196",
    ],
    [
      "nine certificates",
      [{ target: TARGET, ca: pemOf(10).repeat(9) }],
      "tls.0.ca must hold at most 8 certificates",
    ],
    [
      "a target twice",
      ["https://a.test", "https://a.test:443/"].map((target) => ({ target, pins: [PIN] })),
      "tls.1.target names the target of another entry",
    ],
    [
      "51 entries",
      Array.from({ length: 51 }, (_, i) => ({ target: `https://h${i}.test`, pins: [PIN] })),
      "tls must hold at most 50 entries",
    ],
  ])("%s is refused", (_what, tls, told) => {
    const detail = problems(tls);
    expect(detail).toContain(told);
    expect(detail).not.toContain("MII");
  });

  test("is told all its problems at once", () => {
    const tls = [{ target: "x", ca: "y", pins: ["z"], minVersion: "SSLv3", more: 1 }, { target: TARGET }];
    expect(problems(tls).split("; ")).toHaveLength(6);
  });

  test("becomes what a grant says", async () => {
    const rules = await rulesFor(
      [{ target: TARGET, ca: `x\n${one}${two}`, pins: [PIN], minVersion: "TLSv1.3" }],
      TARGET,
    );
    expect(rules).toEqual({ ca: [derOf(one), derOf(two)], pins: [PIN], min: "TLSv1.3" });
    expect(areTlsRules(rules)).toBe(true);
    expect(areTlsRules(await rulesFor([{ target: TARGET, ca: pemOf(6_140) }], TARGET))).toBe(true);
  });

  const pin = (n: number) => PIN.replace("A", String(n));
  const ORDERED = [
    "https://*",
    "https://*.a.test",
    "https://x.b.a.test",
    "https://*.b.a.test",
    "https://x.b.a.test:8443",
  ];
  test.each([
    ["https://x.b.a.test/y?z", 2],
    ["HTTPS://X.B.A.TEST/", 2],
    ["https://x.b.a.test:8443/", 4],
    ["https://y.b.a.test/", 3],
    ["https://b.a.test/", 1],
    ["https://a.test/", 0],
    ["https://[2001:db8::1]/", 0],
    ["https://y.b.a.test:8443/", undefined],
    ["http://x.b.a.test/", undefined],
  ])("is that of the entry for the fewest hosts: %s", async (url, index) => {
    const tls = ORDERED.map((target, n) => ({ target, pins: [pin(n)] }));
    expect((await rulesFor(tls, url))?.pins).toEqual(index === undefined ? undefined : [pin(index)]);
  });
});
