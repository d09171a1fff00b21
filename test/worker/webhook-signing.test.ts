import { createPublicKey, verify } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { generateClientKey, importPrivateKey } from "../../protocol/keys.ts";
import type { Field } from "../../protocol/headers.ts";
import { signedFields } from "../../worker/deliveries/send/sign.ts";
import { provideDigestStream } from "../support/digest-stream.ts";
import { beforeBody, signaturesV1 } from "../../worker/standard-webhooks.ts";

provideDigestStream();

/** What goes out is judged by the library that receivers use. */

const OLD = Buffer.alloc(24, 1);
const NEW = Buffer.alloc(64, 2);
const { publicJwk, privateKey } = await generateClientKey();
const edge = { signingKey: () => importPrivateKey(privateKey) };

function bodyOf(text: string, pieces = 1) {
  const bytes = Uint8Array.from(Buffer.from(text));
  const length = Math.ceil(bytes.length / pieces) || 1;
  return {
    size: bytes.length,
    *chunks() {
      for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length);
    },
  };
}

const TEXT = '{"test": 2432232314}';
const now = Math.floor(Date.now() / 1_000);

function signedBy(keys: readonly Buffer[], fields: readonly Field[] = [], text = TEXT, pieces = 1) {
  const signing = keys.map((key) => Uint8Array.from(key));
  return signedFields({ fields, signing }, "dlv_1", bodyOf(text, pieces), edge, now);
}

function verified(fields: readonly Field[], secret: Buffer, text = TEXT): unknown {
  const webhook = new Webhook(`whsec_${secret.toString("base64")}`);
  return webhook.verify(text, Object.fromEntries(fields));
}

test("the specification's own example", async () => {
  const key = Uint8Array.from(Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64"));
  const before = beforeBody("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
  expect(await signaturesV1([key], before, bodyOf(TEXT))).toEqual([
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  ]);
});

test.for([1, 3, 20])("a receiver verifies a body of %i pieces", async (pieces) => {
  const fields = await signedBy([OLD], [], TEXT, pieces);
  expect(verified(fields, OLD)).toEqual({ test: 2_432_232_314 });
  expect(() => verified(fields, NEW)).toThrow("No matching signature");
  expect(() => verified(fields, OLD, TEXT.replace("2", "3"))).toThrow("No matching signature");
});

test("an empty body is signed, too", async () => {
  expect(verified(await signedBy([OLD], [], ""), OLD, "")).toBeUndefined();
});

test("receivers with either secret of a rotation verify it", async () => {
  const fields = await signedBy([OLD, NEW]);
  for (const secret of [OLD, NEW]) expect(verified(fields, secret)).toEqual({ test: 2_432_232_314 });
});

test("the provider's own id goes on, and its signature doesn't", async () => {
  const given: readonly Field[] = [
    ["Webhook-Id", "msg_7"],
    ["X-Other", "stays"],
    ["Webhook-Timestamp", "1"],
    ["Webhook-Signature", "v1,AAAA"],
    ["svix-signature", "v1,AAAA"],
  ];
  const fields = await signedBy([OLD], given);
  expect(fields.map(([name]) => name)).toEqual([
    "X-Other",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
  ]);
  expect(Object.fromEntries(fields)).toMatchObject({
    "webhook-id": "msg_7",
    "webhook-timestamp": String(now),
  });
  expect(verified(fields, OLD)).toEqual({ test: 2_432_232_314 });
});

test.for([
  ["by its elder name", [["svix-id", "msg_8"]], "msg_8"],
  ["none", [], "dlv_1"],
  ["one that is no text", [["webhook-id", "caf\xe9"]], "dlv_1"],
] as const)("the message's id: %s", async ([, given, id]) => {
  const fields = await signedBy([OLD], given);
  expect(Object.fromEntries(fields)["webhook-id"]).toBe(id);
});

test("what nobody signs goes on untouched", async () => {
  const given: readonly Field[] = [["webhook-signature", "v1,AAAA"]];
  expect(await signedBy([], given)).toBe(given);
});

test("the edge's own word is verified by its public key alone", async () => {
  const fields = Object.fromEntries(
    await signedFields({ fields: [], signing: "edge" }, "dlv_1", bodyOf(TEXT, 2), edge, now),
  );
  const [version, signature = ""] = fields["webhook-signature"]!.split(",");
  expect(version).toBe("v1a");
  const signed = Buffer.from(`${fields["webhook-id"]}.${fields["webhook-timestamp"]}.${TEXT}`);
  const key = createPublicKey({ key: { ...publicJwk }, format: "jwk" });
  expect(verify(null, signed, key, Buffer.from(signature, "base64"))).toBe(true);
  expect(verify(null, Buffer.concat([signed, Buffer.from(" ")]), key, Buffer.from(signature, "base64"))).toBe(
    false,
  );
});
