import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calculateJwkThumbprint } from "jose";
import { afterAll, describe, expect, test } from "vitest";
import { auditText } from "../../cli/audit-text.ts";
import { parseClientsArguments } from "../../cli/clients/arguments.ts";
import { readIssuer, readPublicKey, readRecord } from "../../cli/clients/read-files.ts";
import { type ClientRecord, editRecord, type RecordEdit, rotateKeys } from "../../cli/clients/record.ts";
import { listText, showText } from "../../cli/clients/tell.ts";
import { thumbprintOf } from "../../cli/clients/thumbprint.ts";
import { UsageError } from "../../cli/command.ts";
import { generateClientKey } from "../../protocol/keys.ts";

const dir = mkdtempSync(join(tmpdir(), "holdfast-clients-"));
afterAll(() => rmSync(dir, { recursive: true }));

const [one, two, three] = await Promise.all([
  generateClientKey(),
  generateClientKey("ES256"),
  generateClientKey(),
]);
const SHOP: ClientRecord = { id: "shop", keys: [one.publicJwk], allow: ["https://a.test"] };

const NOTHING: RecordEdit = {
  addAllow: [],
  removeAllow: [],
  addKeys: [],
  removeKeys: [],
  addIssuers: [],
  removeIssuers: [],
  limits: new Map(),
  pool: undefined,
  members: new Map(),
};
const edit = (record: ClientRecord, changes: Partial<RecordEdit>) =>
  editRecord(record, { ...NOTHING, ...changes }, thumbprintOf);

test("a key's thumbprint is that of RFC 7638", async () => {
  for (const { publicJwk } of [one, two]) {
    expect(thumbprintOf(publicJwk)).toBe(await calculateJwkThumbprint(publicJwk));
  }
});

describe("an edit of a record", () => {
  const rule = { issuer: "github", claims: { repository: "acme/shop" } };
  const rich = { ...SHOP, pool: ["n1"], limits: { streams: 5 }, issuers: [rule], bearer: true };
  test.each<[what: string, record: ClientRecord, changes: Partial<RecordEdit>, edited: object]>([
    ["nothing", rich, {}, rich],
    [
      "a target more",
      SHOP,
      { addAllow: ["https://b.test"] },
      { allow: ["https://a.test", "https://b.test"] },
    ],
    ["a target that is there", SHOP, { addAllow: ["https://a.test"] }, {}],
    [
      "another target in its place",
      SHOP,
      { addAllow: ["b"], removeAllow: ["https://a.test"] },
      { allow: ["b"] },
    ],
    ["a key more", SHOP, { addKeys: [two.publicJwk] }, { keys: [one.publicJwk, two.publicJwk] }],
    ["a key that is there, otherwise written", SHOP, { addKeys: [{ ...one.publicJwk, kid: "x" }] }, {}],
    ["a key less", SHOP, { removeKeys: [thumbprintOf(one.publicJwk)] }, { keys: [] }],
    ["an issuer more", SHOP, { addIssuers: [rule] }, { issuers: [rule] }],
    [
      "an issuer less",
      rich,
      { removeIssuers: [{ claims: rule.claims, issuer: "github" }] },
      { issuers: undefined },
    ],
    ["limits", rich, { limits: new Map([["concurrent", 5]]) }, { limits: { streams: 5, concurrent: 5 } }],
    ["the edge's own limits", rich, { limits: new Map([["streams", undefined]]) }, { limits: undefined }],
    ["another pool", rich, { pool: ["n2"] }, { pool: ["n2"] }],
    ["every node", rich, { pool: "all" }, { pool: undefined }],
    ["another member", rich, { members: new Map([["mode", "report"]]) }, { mode: "report" }],
    ["a member less", rich, { members: new Map([["bearer", undefined]]) }, { bearer: undefined }],
  ])("%s", (_what, record, changes, edited) => {
    // As it goes over the wire.
    const written = (value: object) => JSON.parse(JSON.stringify(value)) as unknown;
    expect(written(edit(record, changes))).toEqual(written({ ...record, ...edited }));
  });

  test.each<[what: string, changes: Partial<RecordEdit>, told: string]>([
    ["a target", { removeAllow: ["https://z.test"] }, "no target https://z.test"],
    ["a key", { removeKeys: ["abc"] }, "no key abc"],
    ["an issuer", { removeIssuers: [rule] }, 'no issuer {"issuer":"github"'],
  ])("can't take away %s that isn't there", (_what, changes, told) => {
    expect(() => edit(SHOP, changes)).toThrow(told);
  });
});

describe("a rotation", () => {
  const keys = [
    { ...one.publicJwk, exp: 90 },
    { ...two.publicJwk, exp: 150 },
    { ...three.publicJwk, exp: 900 },
  ];
  const next = { kty: "OKP", crv: "Ed25519", x: "next" } as const;
  test.each([
    ["lets the old keys go on for a while, and none longer than it would", 200, [150, 200, undefined]],
    ["that is to end them now drops them", 100, [undefined]],
  ])("%s", (_what, until, ends) => {
    const rotated = rotateKeys({ ...SHOP, keys }, next, until, 100);
    expect(rotated.keys.map(({ exp }) => exp)).toEqual(ends);
    expect(rotated.keys.at(-1)).toBe(next);
  });

  test("gives an end to a key that had none", () => {
    expect(rotateKeys(SHOP, next, 200, 100).keys).toEqual([{ ...one.publicJwk, exp: 200 }, next]);
  });
});

describe("what operators give", () => {
  const file = (text: string) => {
    const path = join(dir, "given.json");
    writeFileSync(path, text);
    return path;
  };
  const bare = ({ kty, crv, x, y }: Readonly<Record<string, unknown>>) =>
    JSON.parse(JSON.stringify({ kty, crv, x, y })) as object;

  test("a public key, as a file or as it stands", () => {
    for (const { publicJwk } of [one, two]) {
      expect(readPublicKey(JSON.stringify(publicJwk))).toEqual(bare(publicJwk));
      expect(readPublicKey(file(`${JSON.stringify(publicJwk)}\n`))).toEqual(bare(publicJwk));
    }
  });

  test.each([
    ["a private key", JSON.stringify({ ...one.publicJwk, d: "s3cr3t" }), /private key: give its public half/],
    ["a symmetric key", '{"kty":"oct","k":"s3cr3t"}', /must be an Ed25519 or P-256 JWK/],
    ["text", '{"s3cr3t"', /must be JSON/],
    ["a file that isn't there", "s3cr3t", /can't be read from that file \(ENOENT\)/],
  ])("but not %s, which is not repeated", (_what, given, told) => {
    expect(() => readPublicKey(given)).toThrow(told);
    expect(() => readPublicKey(given)).not.toThrow(/s3cr3t/);
  });

  test.each([
    ["github,repository=acme/shop", { issuer: "github", claims: { repository: "acme/shop" } }],
    [
      "https://oidc.fly.io/acme,app_name=shop,audience=https://e.test,sub=a=b",
      {
        issuer: "https://oidc.fly.io/acme",
        audience: "https://e.test",
        claims: { app_name: "shop", sub: "a=b" },
      },
    ],
    ['{"issuer":"github","claims":{"a":"b,c"}}', { issuer: "github", claims: { a: "b,c" } }],
  ])("an issuer: %s", (given, rule) => {
    expect(readIssuer(given)).toEqual(rule);
    if (given.startsWith("{")) expect(readIssuer(file(given))).toEqual(rule);
  });

  test.each(["github,repository", "github,=x", "nowhere.json"])("no issuer: %s", (given) => {
    expect(() => readIssuer(given)).toThrow(/request_invalid/);
  });

  test("a record, with its version or without", () => {
    expect(readRecord(file(JSON.stringify(SHOP)))).toEqual({ record: SHOP });
    expect(readRecord(file(JSON.stringify({ version: 3, record: SHOP })))).toEqual({
      version: 3,
      record: SHOP,
    });
    const secret = { ...SHOP, keys: [{ ...one.publicJwk, d: "s3cr3t" }] };
    expect(() => readRecord(file(JSON.stringify(secret)))).toThrow(/private key/);
    for (const text of ["null", "[]", '{"version":"3","record":{}}', "{"]) {
      expect(() => readRecord(file(text))).toThrow(/request_invalid/);
    }
  });
});

describe("the command line", () => {
  test.each<[args: string, parsed: object]>([
    ["list --json", { action: "list", json: true }],
    ["show shop", { action: "show", id: "shop", json: false }],
    ["remove shop -o x", { action: "remove", id: "shop", dir: join(process.cwd(), "x") }],
    ["rotate shop", { action: "rotate", overlap: 86_400, key: undefined }],
    ["rotate shop --overlap 0", { action: "rotate", overlap: 0 }],
    ["rotate shop --overlap 90m --key k.jwk", { action: "rotate", overlap: 5_400, key: "k.jwk" }],
    ["add shop --file r.json", { action: "add", file: "r.json", version: undefined }],
    ["update shop --file r.json --if-version 3", { action: "update", file: "r.json", version: 3 }],
  ])("%s", (args, parsed) => {
    expect(parseClientsArguments(args.split(" "))).toMatchObject(parsed);
  });

  test("edits", () => {
    const add = "add shop --allow a --allow b --key k --issuer i --limit x=5 --pool n1 --pool n2";
    expect(parseClientsArguments(add.split(" "))).toMatchObject({
      edit: {
        addAllow: ["a", "b"],
        addKeys: ["k"],
        addIssuers: ["i"],
        limits: new Map([["x", 5]]),
        pool: ["n1", "n2"],
      },
    });
    const update =
      "update shop --add-allow a --remove-allow b --add-key k --remove-key t --add-issuer i --remove-issuer j --limit x= --pool all --set mode=report --set bearer=true --set tls=";
    expect(parseClientsArguments(update.split(" "))).toMatchObject({
      edit: {
        addAllow: ["a"],
        removeAllow: ["b"],
        addKeys: ["k"],
        removeKeys: ["t"],
        addIssuers: ["i"],
        removeIssuers: ["j"],
        limits: new Map([["x", undefined]]),
        pool: "all",
        members: new Map<string, unknown>([
          ["mode", "report"],
          ["bearer", true],
          ["tls", undefined],
        ]),
      },
    });
  });

  test.each([
    ["", "say what to do: list, show, add, update, remove, rotate"],
    ["make shop", "say what to do"],
    ["list shop", "list takes no client"],
    ["show", "show takes one client's id"],
    ["show a b", "show takes one client's id"],
    ["show https://shop:s3cr3t@edge.test", "show takes one client's id"],
    ["show shop --allow a", "show takes no --allow"],
    ["add shop --add-allow a", "add takes no --add-allow: say --allow"],
    ["update shop --allow a", "update takes no --allow: say --add-allow or --remove-allow"],
    ["update shop --key k", "update takes no --key: say --add-key or --remove-key"],
    ["update shop", "say what to change"],
    ["update shop --add-allow a --if-version 3", "--if-version goes with --file"],
    ["update shop --file f --add-allow a", "--file is the whole record: --add-allow can't go with it"],
    ["update shop --file f --if-version x", "--if-version takes the version"],
    ["add shop --limit streams", "--limit takes NAME=VALUE"],
    ["add shop --limit streams=0", "--limit streams takes a number above 0"],
    ["add shop --limit streams=x", "--limit streams takes a number above 0"],
    ["add shop --set keys=[]", "--set is for other members"],
    ["add shop --set x", "--set takes MEMBER=VALUE"],
    ["rotate shop --overlap soon", "--overlap takes how long"],
    ["rotate shop --key a --key b", "rotate takes one --key"],
    ["list --nonsense", "Unknown option '--nonsense'"],
  ])("%s is wrong: %s", (args, told) => {
    const parse = () => parseClientsArguments(args.split(" ").filter((word) => word !== ""));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(told);
    expect(parse).not.toThrow(/s3cr3t/);
  });
});

describe("told to people", () => {
  const rich: ClientRecord = {
    ...SHOP,
    keys: [
      { kty: "OKP", crv: "Ed25519", x: "AA", exp: 100 },
      { kty: "OKP", crv: "Ed25519", x: "BB" },
    ],
    allow: ["https://a.test", "https://b.test"],
    pool: ["n1", "n2"],
    limits: { streams: 5, concurrent: 7 },
    mode: "report",
    issuers: [
      { issuer: "github", audience: "a", claims: { repository: "acme/shop" } },
      { issuer: "https://i.test", claims: { sub: "a,b" } },
    ],
  };
  test("clients, in columns", () => {
    const plain = { ...SHOP, id: "a-longer-name", allow: [] };
    expect(
      listText(
        [
          { version: 12, record: rich },
          { version: 1, record: plain },
        ],
        100,
      ),
    ).toBe(
      [
        "ID             VERSION  KEYS         ISSUERS  ALLOW              POOL   LIMITS                  MODE",
        "shop           12       1 (1 ended)  2        ANY (report mode)  n1,n2  streams=5 concurrent=7  report",
        "a-longer-name  1        1            0        -                  all    -                       enforce",
        "",
      ].join("\n"),
    );
  });

  test("one client", () => {
    expect(showText({ version: 12, record: rich }, ({ x }) => `print-${x}`, 50)).toBe(
      [
        "client   shop",
        "version  12",
        "key      print-AA  Ed25519, until 1970-01-01T00:01:40Z",
        "key      print-BB  Ed25519",
        "issuer   github,repository=acme/shop,audience=a",
        'issuer   {"issuer":"https://i.test","claims":{"sub":"a,b"}}',
        "allow    https://a.test",
        "allow    https://b.test",
        "pool     n1,n2",
        "limits   streams=5 concurrent=7",
        "mode     REPORT: its list is not enforced, and it reaches every public address",
        "",
      ].join("\n"),
    );
  });

  test("changes", () => {
    const entry = { seq: 1, at: 100, by: "op-1", client: "shop", subject: "shop" };
    expect(
      auditText([
        {
          ...entry,
          action: "client.update",
          version: 2,
          detail: {
            allow: { added: ["https://b.test"], removed: ["https://a.test"] },
            keys: { added: ["k2"], exp: { k1: 200 } },
            limits: { before: null, after: { streams: 7 } },
          },
        },
        {
          ...entry,
          action: "token.revoke",
          subject: "j1",
          version: null,
          detail: { expires: 5, handles: ["h1"] },
        },
      ]),
    ).toBe(
      [
        '1970-01-01T00:01:40Z  op-1  client.update  shop     version 2  allow +https://b.test -https://a.test; keys +k2 exp {"k1":200}; limits none → {"streams":7}',
        '1970-01-01T00:01:40Z  op-1  token.revoke   shop j1  -          expires 5; handles ["h1"]',
        "",
      ].join("\n"),
    );
    expect(auditText([])).toBe("");
  });
});
