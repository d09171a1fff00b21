import { describe, expect, test } from "vitest";
import type { RelayError } from "../../../protocol/errors.ts";
import { newRequestId } from "../../../protocol/tokens.ts";
import { REVOCATIONS_MEMORY_MS } from "../../../relay-node/revocations/limits.ts";
import { pollDelay } from "../../../relay-node/revocations/poller.ts";
import { Revocations } from "../../../relay-node/revocations/revocations.ts";
import { Revoked } from "../../../relay-node/revocations/revoked.ts";
import { KEYS, revocation, SOURCE, TAKES } from "../../support/revocations.ts";

const AT = 1_767_225_600;
const GRANT = { ...SOURCE, iat: AT - 60 };
const other = newRequestId();

describe("a grant", () => {
  test.each(TAKES)("falls under its own %s", (kind, id) => {
    expect(new Revoked([revocation(kind, id, { at: AT })]).find(GRANT)).toBe(kind);
  });

  test.each([
    ["another client", revocation("client", "other", { client: "other", at: AT })],
    ["another key", revocation("key", KEYS[1], { at: AT })],
    ["the same key of another client", revocation("key", SOURCE.key, { client: "other", at: AT })],
    ["another handle", revocation("handle", other, { at: AT })],
    ["the same handle of another client", revocation("handle", SOURCE.cred, { client: "other", at: AT })],
    ["another token", revocation("token", other, { at: AT })],
    ["another rule", revocation("rule", KEYS[0], { at: AT })],
  ])("does not fall under %s", (_what, entry) => {
    expect(new Revoked([entry]).find(GRANT)).toBeUndefined();
  });

  test.each([
    ["a request token's", { sub: "app", iat: AT, key: KEYS[0] }, ["client", "key"]],
    ["an older edge's", { sub: "app", iat: AT }, ["client"]],
  ])("%s falls under what it names", (_whose, grant, kinds) => {
    const found = TAKES.filter(
      ([kind, id]) => new Revoked([revocation(kind, id, { at: AT })]).find(grant) !== undefined,
    );
    expect(found.map(([kind]) => kind)).toEqual(kinds);
  });

  test.each([
    ["long before", -80_000, true],
    ["at the same time", 0, true],
    ["by an isolate that had not heard of it, its clock ahead", 15, true],
    ["after that", 16, false],
  ])("that was signed %s", (_when, after, falls) => {
    const revoked = new Revoked([revocation("client", "app", { at: AT })]);
    expect(revoked.find({ ...GRANT, iat: AT + after }) !== undefined).toBe(falls);
  });

  test("the latest revocation counts, in whichever order they come", () => {
    const entries = [AT, AT + 100, AT + 50].map((at) => revocation("client", "app", { at }));
    expect(new Revoked(entries).find({ ...GRANT, iat: AT + 115 })).toBe("client");
    expect(new Revoked(entries).size).toBe(1);
  });
});

describe("the memory", () => {
  const codeOf = (revocations: Revocations, grant = GRANT) => revocations.refusalOf(grant)?.code;

  test("refuses what comes later, for as long as it can come", async () => {
    let now = AT * 1_000;
    const revocations = new Revocations(() => now);
    const [first, second] = [newRequestId(), newRequestId()];
    await revocations.apply([revocation("handle", first, { at: AT })]);
    now += REVOCATIONS_MEMORY_MS / 2;
    await revocations.apply([revocation("handle", second, { at: AT + 60 })]);
    const both = () => [first, second].map((cred) => codeOf(revocations, { ...GRANT, cred }));
    expect(both()).toEqual(["revoked", "revoked"]);
    now += REVOCATIONS_MEMORY_MS / 2;
    expect(both()).toEqual(["revoked", "revoked"]);
    now += REVOCATIONS_MEMORY_MS * 2;
    expect(both()).toEqual([undefined, undefined]);
    expect(revocations.sizes.remembered).toBe(0);
  });

  test("keeps nothing that is too old to meet a grant", async () => {
    const revocations = new Revocations(() => AT * 1_000);
    await revocations.apply([revocation("client", "app", { at: AT - 121 })]);
    expect(revocations.sizes.remembered).toBe(0);
  });

  test("outlasts a clock that is set back", async () => {
    let now = AT * 1_000;
    const revocations = new Revocations(() => now);
    await revocations.apply([revocation("client", "app", { at: AT })]);
    now -= 3_600_000;
    expect(codeOf(revocations)).toBe("revoked");
  });
});

describe("what runs", () => {
  test("is ended once, with a typed error, and then is there no more", async () => {
    const revocations = new Revocations();
    const ends: RelayError[] = [];
    revocations.watch(GRANT, "stream", (error) => ends.push(error));
    const entry = revocation("handle", SOURCE.cred, { at: AT });
    expect(await revocations.apply([entry])).toEqual({ request: 0, stream: 1, connection: 0 });
    expect(await revocations.apply([entry])).toEqual({ request: 0, stream: 0, connection: 0 });
    expect(ends.map(({ code, reached, detail }) => [code, reached, detail])).toEqual([
      ["revoked", "yes", "the handle was revoked"],
    ]);
    expect(revocations.sizes.running).toBe(0);
  });

  test("is not ended when it has left, or goes on under a grant that stands", async () => {
    const revocations = new Revocations();
    const ends: string[] = [];
    const left = revocations.watch(GRANT, "request", () => ends.push("left"));
    const renewed = revocations.watch(GRANT, "stream", () => ends.push("renewed"));
    left.leave();
    left.renew(GRANT);
    renewed.renew({ ...GRANT, key: KEYS[1] });
    await revocations.apply([revocation("key", KEYS[0], { at: AT })]);
    expect(ends).toEqual([]);
    await revocations.apply([revocation("key", KEYS[1], { at: AT })]);
    expect(ends).toEqual(["renewed"]);
  });

  test("is ended by whoever carries it on, also where that comes too late", async () => {
    const revocations = new Revocations();
    const ends: string[] = [];
    const handed = revocations.watch(GRANT, "stream", () => ends.push("opening"));
    const late = revocations.watch(GRANT, "stream", () => ends.push("late opening"));
    handed.handOver(() => ends.push("stream"));
    await revocations.apply([revocation("client", "app", { at: AT })]);
    late.handOver(() => ends.push("late stream"));
    expect(ends).toEqual(["stream", "late opening", "late stream"]);
  });

  test("3,000 streams and 1,000 revocations hold nobody up", async () => {
    const revocations = new Revocations();
    let ended = 0;
    const grants = Array.from({ length: 3_000 }, (_, i) => ({
      sub: `client-${i % 30}`,
      iat: AT,
      key: KEYS[i % 2]!,
      cred: newRequestId(),
    }));
    for (const grant of grants) revocations.watch(grant, "stream", () => ended++);
    const entries = grants
      .filter((_, i) => i % 3 === 0)
      .map(({ sub, cred }) => revocation("handle", cred, { client: sub, at: AT }));
    const begun = performance.now();
    const applying = revocations.apply(entries);
    const compared = performance.now() - begun;
    // Another turn comes long before all are ended.
    await new Promise(setImmediate);
    expect(ended).toBeLessThan(200);
    expect(await applying).toMatchObject({ stream: 1_000 });
    expect([ended, revocations.sizes.running]).toEqual([1_000, 2_000]);
    expect(compared).toBeLessThan(100);
  });
});

test.each([
  [0, 0, 10_000],
  [0, 1, 8_000],
  [1, 0, 1_000],
  [2, 0, 2_000],
  [4, 0.5, 7_200],
  [5, 0, 10_000],
  [1_000, 0, 10_000],
])("after %i failures, at random %d, the next round comes in %i ms", (failures, random, ms) => {
  expect(pollDelay(failures, random, 10_000)).toBe(ms);
});
