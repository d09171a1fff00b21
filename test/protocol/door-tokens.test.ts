import { describe, expect, test } from "vitest";
import { importPublicKey } from "../../protocol/keys.ts";
import { SCOPE_TOKEN_SECONDS } from "../../protocol/limits.ts";
import {
  checkRequestClaims,
  checkScopeClaims,
  type RequestAct,
  type ScopeAct,
} from "../../protocol/claims.ts";
import { type NodeMessageAct, verifyNodeMessage } from "../../protocol/node-messages.ts";
import { readBearer, verifySignature } from "../../protocol/tokens.ts";
import { readVectors } from "../vectors/read.ts";
import { outcomeOf } from "./outcome.ts";

interface Case {
  readonly name: string;
  readonly kind: "request" | "scope" | "node";
  readonly act: string;
  readonly authorization: string;
  readonly expect?: object;
  readonly error?: string;
}

const { edge, now, scopeSeconds, cases } = readVectors("door-tokens.json") as {
  readonly edge: string;
  readonly now: number;
  readonly scopeSeconds: number;
  readonly cases: readonly Case[];
};
const { keys } = readVectors("request-tokens.json") as {
  readonly keys: Readonly<Record<"ed25519" | "stranger", { readonly publicJwk: JsonWebKey }>>;
};

/** What a door does with a token before it looks at targets. */
async function accept(
  { kind, act, authorization }: Case,
  key: keyof typeof keys = "ed25519",
): Promise<object> {
  const bound = await importPublicKey(keys[key].publicJwk);
  if (kind === "node") {
    const nodes = new Map([["fra-1", bound]]);
    return verifyNodeMessage(authorization, { audience: edge, nodes, act: act as NodeMessageAct, now });
  }
  const unverified = readBearer(kind, authorization);
  const claims =
    kind === "scope"
      ? checkScopeClaims(unverified.claims, edge, now, act as ScopeAct, scopeSeconds)
      : checkRequestClaims(unverified.claims, edge, now, act as RequestAct);
  await verifySignature(unverified, [bound]);
  return claims;
}

describe("tokens of the other doors", () => {
  test.for(cases)("$name", async (one) => {
    const got = await outcomeOf(() => accept(one));
    expect(got).toEqual(one.expect === undefined ? { error: one.error } : { value: one.expect });
  });

  test.for(cases.filter((one) => one.expect !== undefined))("$name, signed by a stranger", async (one) => {
    expect(await outcomeOf(() => accept(one, "stranger"))).toEqual({ error: "token_signature" });
  });

  test("a scope lives as long as the file says", () => {
    expect(scopeSeconds).toBe(SCOPE_TOKEN_SECONDS);
  });
});
