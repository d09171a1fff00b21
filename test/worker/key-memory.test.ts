import type { JWK } from "jose";
import { describe, expect, test } from "vitest";
import { signCertificate } from "../../protocol/certificates.ts";
import { generateClientKey, importPrivateKey, importPublicKey } from "../../protocol/keys.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { CertificateMemory } from "../../worker/keyless/certificates.ts";
import { KeyMemory } from "../../worker/keyless/key-memory.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const keys = (...kids: readonly string[]) =>
  new Map<string, JWK>(kids.map((kid) => [kid, { kty: "EC", kid }]));

/** One that has learnt key a at 0. */
function learnt(): KeyMemory {
  const memory = new KeyMemory();
  memory.begin(0);
  memory.learn(keys("a"), 0);
  return memory;
}

describe("what is known of an issuer's keys", () => {
  test.each<[what: string, make: () => KeyMemory, kid: string, now: number, kind: string]>([
    ["nothing yet", () => new KeyMemory(), "a", 0, "ask"],
    ["a key", learnt, "a", 0, "key"],
    ["a key, for ten minutes", learnt, "a", 10 * MINUTE - 1, "key"],
    ["a key that is to be looked at again", learnt, "a", 10 * MINUTE, "ask"],
    ["no such key, asked just now", learnt, "b", 0, "none"],
    ["no such key, asked within the cooldown", learnt, "b", 29_999, "none"],
    ["no such key, asked before that", learnt, "b", 30_000, "ask"],
    ["that it is being asked", () => begun(new KeyMemory(), 0), "a", 1_000, "wait"],
    ["a key that goes on while it is asked", () => begun(learnt(), 10 * MINUTE), "a", 10 * MINUTE, "key"],
    ["another key, while it is asked", () => begun(learnt(), 10 * MINUTE), "b", 10 * MINUTE, "wait"],
    ["that the one who asked went away", () => begun(new KeyMemory(), 0), "a", 7_000, "ask"],
    ["that it does not answer", () => failed(new KeyMemory(), 0), "a", 4_999, "unavailable"],
    ["that it did not answer before", () => failed(new KeyMemory(), 0), "a", 5_000, "ask"],
    ["an old key, while it does not answer", () => failed(learnt(), HOUR), "a", HOUR + 1_000, "key"],
    ["an old key, and that it can be asked again", () => failed(learnt(), HOUR), "a", HOUR + 5_000, "ask"],
    ["another key, while it does not answer", () => failed(learnt(), HOUR), "b", HOUR + 1_000, "unavailable"],
    ["a key of four hours ago", () => failed(learnt(), 4 * HOUR), "a", 4 * HOUR, "unavailable"],
  ])("%s", (_what, make, kid, now, kind) => {
    expect(make().look(kid, now).kind).toBe(kind);
  });

  test("keys that it takes back are gone with the next answer", () => {
    const memory = learnt();
    memory.begin(MINUTE);
    memory.learn(keys("b"), MINUTE);
    expect([memory.look("a", MINUTE).kind, memory.look("b", MINUTE).kind]).toEqual(["none", "key"]);
  });

  test("it is asked at most once each cooldown, whatever is named and whatever it answers", () => {
    for (const answers of [true, false]) {
      const memory = new KeyMemory();
      const asked: number[] = [];
      for (let now = 0; now < 10 * MINUTE; now += 100) {
        if (memory.look(`made-up-${now}`, now).kind !== "ask") continue;
        asked.push(now);
        memory.begin(now);
        if (answers) memory.learn(keys("a"), now);
        else memory.fail(now);
      }
      expect(asked).toHaveLength(answers ? 20 : 120);
    }
  });
});

test("certificates are remembered within bounds, and only proven ones", async () => {
  const { publicJwk, privateKey } = await generateClientKey();
  const signer = await importPrivateKey(privateKey);
  const verifier = await importPublicKey(publicJwk);
  const certificate = (edge = "https://edge.example.com") =>
    signCertificate(
      {
        iss: edge,
        aud: edge,
        sub: "ci",
        iat: 0,
        exp: 900,
        jti: newRequestId(),
        cnf: { jwk: publicJwk },
        platform: { iss: "https://id.example.com", sub: "x", claims: {} },
      },
      signer,
      undefined,
    );
  const memory = new CertificateMemory(2);
  const prove = (text: string) => memory.prove(text, "https://edge.example.com", verifier);
  const [a, b, c] = [await certificate(), await certificate(), await certificate()];
  const first = await prove(a);
  expect(await prove(a)).toBe(first);
  await prove(b);
  await prove(c);
  expect(await prove(a)).not.toBe(first);
  const other = await certificate("https://other.example.com");
  for (let i = 0; i < 2; i++) {
    await expect(prove(other)).rejects.toMatchObject({ code: "certificate_invalid" });
  }
});

function begun(memory: KeyMemory, now: number): KeyMemory {
  memory.begin(now);
  return memory;
}

function failed(memory: KeyMemory, now: number): KeyMemory {
  memory.begin(now);
  memory.fail(now);
  return memory;
}
