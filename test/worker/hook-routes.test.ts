import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { loadClient } from "../../worker/clients.ts";
import { expectReachable, readRoute, tellRoute } from "../../worker/hooks/route-record.ts";
import { loadRoute } from "../../worker/hooks/route.ts";
import type { RouteRecord } from "../../worker/routes.ts";
import { Sealing } from "../../worker/sealing.ts";

const [oldKey, newKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
const sealing = await Sealing.with([oldKey]);

const STANDARD = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
const GOOD = {
  id: "orders",
  client: "shop",
  target: "https://internal.example.com/hooks",
  verifier: { type: "github", secrets: ["s3cr3t"] },
};

async function problems(changes: object, stored?: RouteRecord): Promise<string> {
  try {
    await readRoute({ ...GOOD, ...changes }, stored, sealing);
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.code).toBe("request_invalid");
    return error.detail;
  }
  return expect.fail("it was taken");
}

const hmac = { type: "hmac", secrets: ["s"], header: "X-Signature", hash: "sha512", encoding: "base64" };

describe("a route's record", () => {
  test.each([
    ["the least", {}],
    ["no verifier at all", { verifier: { type: "none" } }],
    ["two secrets", { verifier: { type: "stripe", secrets: ["whsec_1", "whsec_2"] } }],
    ["a secret of the longest kind", { verifier: { type: "slack", secrets: ["x".repeat(512)] } }],
    ["Standard Webhooks", { verifier: { type: "standard-webhooks", secrets: [STANDARD] } }],
    ["an HMAC", { verifier: hmac }],
    ["an HMAC behind a prefix", { verifier: { ...hmac, prefix: "HMAC " } }],
    ["the provider's id", { dedupe: "provider" }],
    ["no dedupe", { dedupe: "none" }],
    ["dedupe by a field", { dedupe: "header:X-Event-Id" }],
    ["dedupe by a member", { dedupe: "json:/data/0/a~1b~0" }],
    ["order of all", { order: "all" }],
    ["order by a member", { order: "json:/customer" }],
    ["a schedule", { schedule: [0, 0.5, 604_800] }],
    ["signing", { sign: { secrets: [STANDARD] } }],
    [
      "limits",
      {
        limits: {
          bodyBytes: 1,
          requestsPerSecond: 0.1,
          deliveriesPerSecond: 3,
          concurrent: 4,
          pending: 5,
        },
      },
    ],
    ["retention", { retention: { deliveredDays: 0.5, deadDays: 366 } }],
  ])("with %s is taken and can be used", async (_what, changes) => {
    const form = { ...GOOD, ...changes };
    const record = await readRoute(form, undefined, sealing);
    const text = JSON.stringify(record);
    for (const secret of ["s3cr3t", STANDARD, "whsec_1"]) expect(text).not.toContain(secret);
    const { verifier: _verifier, sign: _sign, ...plain } = form as typeof form & { sign?: object };
    expect(record).toMatchObject(plain);
    await loadRoute(record, sealing);
  });

  test.each([
    ["an unknown member", { colour: 1 }, /the record has unknown keys: colour/],
    ["no client", { client: undefined }, /client must be of type string/],
    ["an id with upper case", { id: "Orders" }, /id must be 1 to 63 characters .* \(is "Orders"\)/],
    ["a target that is none", { target: "internal" }, /target : the target URL is no absolute http/],
    [
      "a target with a password",
      { target: "https://u:s3cr3t@internal.test/" },
      /target : the target URL has user info.*\(is "https:\/\/…@internal/,
    ],
    ["no verifier", { verifier: undefined }, /verifier must/],
    ["a verifier that is text", { verifier: "s3cr3t" }, /verifier must be of type object/],
    [
      "an unknown verifier",
      { verifier: { type: "s3cr3t", secrets: ["s3cr3t"] } },
      /verifier\.type must have a type: standard-webhooks, stripe/,
    ],
    ["secrets where none are used", { verifier: { type: "none", secrets: ["s3cr3t"] } }, /unknown keys/],
    ["no secrets", { verifier: { type: "stripe" } }, /verifier\.secrets must be of type array/],
    ["an empty list of secrets", { verifier: { type: "stripe", secrets: [] } }, /at least one secret/],
    [
      "three secrets",
      { verifier: { type: "stripe", secrets: ["a", "b", "s3cr3t"] } },
      /verifier\.secrets must hold at most 2 secrets/,
    ],
    [
      "a secret twice",
      { verifier: { type: "stripe", secrets: ["s3cr3t", "s3cr3t"] } },
      /verifier\.secrets must not hold a secret twice/,
    ],
    ["an empty secret", { verifier: { type: "stripe", secrets: [""] } }, /secrets\.0 must have 1 to 512/],
    [
      "a secret too long",
      { verifier: { type: "stripe", secrets: ["s3cr3t".repeat(100)] } },
      /secrets\.0 must have 1 to 512 characters$/,
    ],
    [
      "a secret that is a number",
      { verifier: { type: "stripe", secrets: [12_345_678] } },
      /secrets\.0 must be a secret's text, or \{"print"[^5]*$/,
    ],
    [
      "a bare secret for Standard Webhooks",
      { verifier: { type: "standard-webhooks", secrets: ["s3cr3ts3cr3ts3cr3ts3cr3ts3cr3t"] } },
      /secrets\.0 must be whsec_ and 24 to 64 bytes in base64$/,
    ],
    [
      "a short one to sign with",
      { sign: { secrets: [`whsec_${Buffer.alloc(23).toString("base64")}`] } },
      /sign\.secrets\.0 must be whsec_ and 24 to 64 bytes/,
    ],
    [
      "a print that the route doesn't have",
      { verifier: { type: "stripe", secrets: [{ print: "abc" }] } },
      /verifier\.secrets\.0 names no secret that the route has/,
    ],
    ["an unknown hash", { verifier: { ...hmac, hash: "md5" } }, /verifier\.hash must be sha1 or sha256 or/],
    ["a header that is none", { verifier: { ...hmac, header: "X Sig" } }, /verifier\.header must be a field/],
    ["a rule that is none", { dedupe: "body" }, /dedupe must be provider, none, header:.* \(is "body"\)/],
    ["a pointer that is none", { dedupe: "json:id" }, /dedupe must be/],
    ["a pointer with a bare tilde", { order: "json:/a~2" }, /order must be none, all/],
    ["a field's name that is none", { order: "header:a b" }, /order must be/],
    [
      "a provider's id that nobody knows",
      { verifier: { type: "none" }, dedupe: "provider" },
      /dedupe must name a field or a member: .* verifier is none/,
    ],
    ["an empty schedule", { schedule: [] }, /schedule must hold at least one attempt/],
    ["a delay in the past", { schedule: [0, -1] }, /schedule\.1 must be 0 seconds or more \(is -1\)/],
    ["a body too long", { limits: { bodyBytes: 26_214_401 } }, /limits\.bodyBytes must be at most 26214400/],
    ["half an attempt at once", { limits: { concurrent: 0.5 } }, /limits\.concurrent must be/],
    ["no retention", { retention: { deadDays: 0 } }, /retention\.deadDays must be more than 0/],
  ] as const)("with %s is refused", async (_what, changes, told) => {
    const detail = await problems(changes);
    expect(detail).toMatch(told);
    expect(detail).not.toContain("s3cr3t");
  });

  test("is told all its problems at once", async () => {
    const wrong = { id: "", client: 1, target: "x", verifier: { type: "stripe", secrets: [""] }, order: "" };
    expect((await problems(wrong)).split("; ")).toHaveLength(5);
  });

  test("is refused where nothing can seal", async () => {
    await expect(readRoute(GOOD, undefined, await Sealing.with([]))).rejects.toThrow(/edge_misconfigured/);
  });

  test("is told with prints, and taken back as it was told", async () => {
    const form = { ...GOOD, sign: { secrets: [STANDARD] } };
    const record = await readRoute(form, undefined, sealing);
    const told = tellRoute(record);
    expect(told).toMatchObject({ verifier: { secrets: [{ print: /^[\w-]{12}$/ }] } });
    expect(JSON.stringify(told)).not.toContain("sealed");
    const again = await readRoute(JSON.parse(JSON.stringify(told)), record, sealing);
    expect(tellRoute(again)).toEqual(told);
    await loadRoute(again, sealing);
  });

  test("seals a secret that is kept by the current key", async () => {
    const record = await readRoute(GOOD, undefined, sealing);
    const both = await Sealing.with([newKey, oldKey]);
    const again = await readRoute(tellRoute(record), record, both);
    expect(await loadRoute(again, await Sealing.with([newKey]))).toMatchObject({ id: "orders" });
  });

  test("keeps no secret of another route, nor one that can't be opened", async () => {
    const record = await readRoute(GOOD, undefined, sealing);
    const { verifier } = tellRoute(record);
    expect(await problems({ id: "other", verifier }, record)).toMatch(/names no secret/);
    const other = await Sealing.with([newKey]);
    await expect(readRoute({ ...GOOD, verifier }, record, other)).rejects.toThrow(/can't be opened/);
  });

  test("keeps no secret that another verifier could not use", async () => {
    const record = await readRoute(GOOD, undefined, sealing);
    const { secrets } = tellRoute(record).verifier as { secrets: object[] };
    expect(await problems({ verifier: { type: "standard-webhooks", secrets } }, record)).toMatch(
      /secrets\.0 must be whsec_/,
    );
  });

  test("is for targets that its client may reach", async () => {
    const record = await readRoute(GOOD, undefined, sealing);
    const { publicJwk } = await generateClientKey();
    const client = (allow: string[], mode?: "report") =>
      loadClient({ id: "shop", keys: [publicJwk], allow, mode });
    expectReachable(record, await client(["POST https://internal.example.com/hooks"]));
    expectReachable(record, await client([], "report"));
    const readsOnly = await client(["GET https://internal.example.com"]);
    expect(() => expectReachable(record, readsOnly)).toThrow(/target_not_allowed/);
  });
});

describe("a stored record", () => {
  const at = async (changes: object) =>
    loadRoute({ ...(await readRoute(GOOD, undefined, sealing)), ...changes }, sealing);

  test.each([
    ["an unknown verifier", { verifier: { type: "later", secrets: [] } }, /has no secret/],
    ["a verifier without a secret", { verifier: { type: "github", secrets: [] } }, /has no secret/],
    ["a verifier without secrets", { verifier: { type: "github" } }, /undefined/],
    ["a secret that was changed", { verifier: { type: "github", secrets: [{ sealed: "a.b.c" }] } }, /no key/],
    ["an unknown rule", { dedupe: "cookie:id" }, /cookie:id is no rule/],
    ["an unknown order", { order: "some" }, /some is no rule/],
    ["a target that is none", { target: "ftp://a.test" }, /no absolute http/],
  ])("with %s is refused, never taken unverified", async (_what, changes, told) => {
    await expect(at(changes)).rejects.toThrow(told);
  });

  test.each([
    ["verifier", { type: "later" }, /the verifier later is not known/],
    ["hash", { type: "hmac", hash: "md5" }, /the hash is not known/],
  ])("with a %s of a later version is refused", async (_what, changes, told) => {
    const { verifier } = await readRoute({ ...GOOD, verifier: hmac }, undefined, sealing);
    await expect(at({ verifier: { ...verifier, ...changes } })).rejects.toThrow(told);
  });

  test("whose secret was sealed for another route is refused", async () => {
    await expect(at({ id: "other" })).rejects.toThrow(/changed, or stands elsewhere/);
  });
});
