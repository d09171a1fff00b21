import { CompactSign, compactVerify, type ProtectedHeaderParameters } from "jose";
import { expect, test } from "vitest";
import { encodeHeader, isSignedBy, signCompact } from "../../protocol/jws.ts";
import {
  generateClientKey,
  importPrivateKey,
  importPublicKey,
  SIGNING_ALGORITHMS,
} from "../../protocol/keys.ts";

const CLAIMS = { iss: "shop", url: "https://api.example.com/ü", n: 1 };

test.for(SIGNING_ALGORITHMS)("a library reads what %s signs here, and the reverse", async (alg) => {
  const { publicJwk, privateKey } = await generateClientKey(alg);
  const [signer, bound] = [await importPrivateKey(privateKey), await importPublicKey(publicJwk)];
  const header = { alg, typ: "holdfast-request+jwt" };
  const ours = await signCompact(encodeHeader(header), CLAIMS, alg, signer.key);
  const { payload, protectedHeader } = await compactVerify(ours, bound.key);
  expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(CLAIMS);
  expect(protectedHeader).toEqual(header);
  const theirs = await new CompactSign(new TextEncoder().encode(JSON.stringify(CLAIMS)))
    .setProtectedHeader(header)
    .sign(signer.key);
  expect(await isSignedBy(theirs, header, bound)).toBe(true);
});

test.for([
  ["another algorithm", { alg: "ES256" }],
  ["an algorithm of a prototype", { alg: "toString" }],
  ["none", { alg: "none" }],
  ["no algorithm", {}],
  ["an extension that must be understood", { alg: "Ed25519", crit: ["exp"], exp: 1 }],
] as const)("a header with %s proves nothing", async ([, given]) => {
  const header: ProtectedHeaderParameters = { ...given } as ProtectedHeaderParameters;
  const { publicJwk, privateKey } = await generateClientKey();
  const { key } = await importPrivateKey(privateKey);
  const token = await signCompact(encodeHeader(header), CLAIMS, "Ed25519", key);
  expect(await isSignedBy(token, header, await importPublicKey(publicJwk))).toBe(false);
});

test("a token that was changed anywhere proves nothing", async () => {
  const { publicJwk, privateKey } = await generateClientKey();
  const { key } = await importPrivateKey(privateKey);
  const header = { alg: "Ed25519" };
  const token = await signCompact(encodeHeader(header), CLAIMS, "Ed25519", key);
  const bound = await importPublicKey(publicJwk);
  const [front, payload, signature] = token.split(".") as [string, string, string];
  const other = await signCompact(encodeHeader(header), { ...CLAIMS, n: 2 }, "Ed25519", key);
  for (const changed of [
    `${front}.${other.split(".")[1]!}.${signature}`,
    `${front}.${payload}.${other.split(".")[2]!}`,
    `${front}.${payload}.${signature.slice(0, -2)}`,
  ]) {
    expect(await isSignedBy(changed, header, bound)).toBe(false);
  }
});
