import type { JWK } from "jose";
import { describe, expect, test } from "vitest";
import { checkRequestClaims } from "../../protocol/claims.ts";
import { importPublicKey } from "../../protocol/keys.ts";
import { readBearer, verifySignature } from "../../protocol/tokens.ts";
import { loadClient, parseClientRecord } from "../../worker/clients.ts";
import { CertificateMemory, checkCertificate } from "../../worker/keyless/certificates.ts";
import { proveProof, readProof } from "../../worker/keyless/proof.ts";
import { outcomeOf } from "../protocol/outcome.ts";
import { readVectors } from "../vectors/read.ts";

interface Case {
  readonly name: string;
  readonly expect?: object;
  readonly error?: string;
}

const { edge, now, edgeKey, issuers, proofs, cases } = readVectors("keyless.json") as {
  readonly edge: string;
  readonly now: number;
  readonly edgeKey: JWK;
  readonly issuers: readonly unknown[];
  readonly proofs: readonly (Case & { readonly proof: string })[];
  readonly cases: readonly (Case & { readonly authorization: string })[];
};

const expected = ({ expect: value, error }: Case) => (value === undefined ? { error } : { value });

describe("a proof of possession", () => {
  test.for(proofs)("$name", async (one) => {
    const proven = outcomeOf(async () => (await proveProof(readProof(one.proof, `${edge}/token`, now))).jwk);
    expect(await proven).toEqual(expected(one));
  });
});

describe("a request token under a certificate", async () => {
  const client = await loadClient(
    parseClientRecord({ id: "ci", keys: [], issuers, allow: ["https://api.example.com"] }),
  );
  const verifying = await importPublicKey(edgeKey);
  const memory = new CertificateMemory();

  test.for(cases)("$name", async (one) => {
    const judged = outcomeOf(async () => {
      const unverified = readBearer("request", one.authorization);
      const claims = checkRequestClaims(unverified.claims, edge, now, "fetch");
      const { certificate } = unverified;
      if (certificate === undefined) {
        await verifySignature(unverified, client.keys);
        return claims;
      }
      const certified = await memory.prove(certificate, edge, verifying);
      checkCertificate(certified, client, now);
      await verifySignature(unverified, [certified.key]);
      return claims;
    });
    expect(await judged).toEqual(expected(one));
  });
});
