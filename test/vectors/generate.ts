import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { doorTokenVectors } from "./door-tokens.ts";
import { grantVectors } from "./grants.ts";
import { keylessVectors } from "./keyless.ts";
import { proxyGrantVectors } from "./proxy-grants.ts";
import { readVectors } from "./read.ts";
import { receiptVectors } from "./receipts.ts";
import { requestTokenVectors } from "./request-tokens.ts";
import type { Toolbox } from "./toolbox.ts";

/**
 * Writes request-tokens.json, door-tokens.json, grants.json, proxy-grants.json, keyless.json and receipts.json. It signs with Node's own cryptography and shares no line with protocol/, so
 * that a mistake there cannot hide here. targets.json and fields.json hold nothing that needs computing and are edited by
 * hand. Ed25519 and HMAC are deterministic; an ES256 signature is kept from the file while what it signs stays the same.
 *
 * Run: node test/vectors/generate.ts
 */

/** A PKCS #8 private key from a seed: test keys must be reproducible. */
function ed25519(label: string): KeyObject {
  const seed = createHash("sha256").update(`holdfast test key ${label}`).digest();
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

const P256 = {
  kty: "EC",
  crv: "P-256",
  x: "iTUQvNZqQnSkaNHgKjggC3PlfIvwBaNNdOhiJgLwvTk",
  y: "SaXgIzBR27pewIb4tbnP_eTgpEaq5Kb-cpFL3_XXous",
  d: "dLd4BBYyBtJISXUUr3CX7JJAxlbCMX2PwXFvn6q4-aA",
};

const toolbox: Toolbox = {
  private: {
    ed25519: ed25519("1"),
    "ed25519-next": ed25519("2"),
    stranger: ed25519("3"),
    es256: createPrivateKey({ key: P256, format: "jwk" }),
  },
  masters: {
    current: createHash("sha256").update("holdfast test master 1").digest(),
    next: createHash("sha256").update("holdfast test master 2").digest(),
  },
  derive: (master, nodeId) => Buffer.from(hkdfSync("sha256", master, "", `holdfast grant v1\n${nodeId}`, 32)),
  ed25519: (key, input) => sign(null, Buffer.from(input), key),
  es256: (key, input, name) => {
    const kept = keptSignatures().get(name);
    const parameters = { key, dsaEncoding: "ieee-p1363" } as const;
    if (
      kept?.input === input &&
      verify("sha256", Buffer.from(input), { ...parameters, key: createPublicKey(key) }, kept.signature)
    ) {
      return kept.signature;
    }
    return sign("sha256", Buffer.from(input), parameters);
  },
};

function keptSignatures(): Map<string, { input: string; signature: Buffer }> {
  const kept = new Map<string, { input: string; signature: Buffer }>();
  if (!existsSync(new URL("request-tokens.json", import.meta.url))) return kept;
  const { cases } = readVectors("request-tokens.json") as {
    cases: { name: string; authorization: string | null }[];
  };
  for (const { name, authorization } of cases) {
    const [header, payload, signature] = (authorization ?? "").replace(/^Bearer /, "").split(".");
    if (signature === undefined) continue;
    kept.set(name, { input: `${header}.${payload}`, signature: Buffer.from(signature, "base64url") });
  }
  return kept;
}

/** One case a line, so that a change of one shows as a change of one. */
function write(name: string, content: object): void {
  const members = Object.entries(content).map(([key, value]) => {
    if (!["cases", "proofs", "within"].includes(key) || !Array.isArray(value)) {
      return `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`;
    }
    return `  "${key}": [\n${value.map((one) => `    ${JSON.stringify(one)}`).join(",\n")}\n  ]`;
  });
  writeFileSync(new URL(name, import.meta.url), `{\n${members.join(",\n")}\n}\n`);
}

write("request-tokens.json", requestTokenVectors(toolbox));
write("door-tokens.json", doorTokenVectors(toolbox));
write("grants.json", grantVectors(toolbox));
write("proxy-grants.json", proxyGrantVectors(toolbox));
write("keyless.json", keylessVectors(toolbox));
write("receipts.json", receiptVectors(toolbox));
