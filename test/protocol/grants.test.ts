import { describe, expect, test } from "vitest";
import {
  deriveGrantKey,
  type GrantClaims,
  grantKeyBytes,
  importGrantKey,
  signGrant,
  verifyGrant,
} from "../../protocol/grants.ts";
import { grantVerifier } from "../../relay-node/grant-verifier.ts";
import { readVectors } from "../vectors/read.ts";
import { outcome, outcomeOf } from "./outcome.ts";

const vectors = readVectors("grants.json") as {
  edge: string;
  node: string;
  now: number;
  masters: Record<string, string>;
  derived: { master: string; node: string; key: string }[];
  cases: {
    name: string;
    authorization: string;
    keys?: string[];
    now?: number;
    expect?: GrantClaims;
    error?: string;
  }[];
};

/** This node's key, from the file's own text of it. */
function ownKey(master: string): Uint8Array<ArrayBuffer> {
  const { key } = vectors.derived.find((one) => one.master === master && one.node === vectors.node)!;
  return grantKeyBytes(key);
}

function judge(
  authorization: string | undefined,
  masters: readonly string[] = ["current"],
  now = vectors.now,
) {
  const keys = masters.map((master) => grantVerifier(ownKey(master)));
  return verifyGrant(authorization, { edge: vectors.edge, nodeId: vectors.node, keys, now });
}

describe("derived keys", () => {
  test.for(vectors.derived)("$master for $node", async ({ master, node, key }) => {
    const bytes = Uint8Array.from(Buffer.from(vectors.masters[master]!, "base64url"));
    expect(Buffer.from(await deriveGrantKey(bytes, node)).toString("base64url")).toBe(key);
  });

  test("no two are the same", () => {
    expect(new Set(vectors.derived.map(({ key }) => key)).size).toBe(vectors.derived.length);
  });

  test("a short master key is refused", async () => {
    expect(await outcomeOf(() => deriveGrantKey(new Uint8Array(31), "fra-1"))).toEqual({
      error: "edge_misconfigured",
    });
  });
});

describe("grants", () => {
  test.for(vectors.cases)("$name", (vector) => {
    const got = outcome(() => judge(vector.authorization, vector.keys, vector.now));
    expect(got).toEqual(vector.expect === undefined ? { error: vector.error } : { value: vector.expect });
  });

  test("no field at all", () => expect(outcome(() => judge(undefined))).toEqual({ error: "grant_missing" }));

  test("signing gives the file's bytes", async () => {
    const vector = vectors.cases.find((one) => one.name === "a request with one")!;
    expect(`Bearer ${await signGrant(vector.expect!, await importGrantKey(ownKey("current")))}`).toBe(
      vector.authorization,
    );
  });

  test("a premature grant may be tried again, and nothing was reached", () => {
    const vector = vectors.cases.find((one) => one.name === "signed in the future")!;
    expect(() => judge(vector.authorization)).toThrow(
      expect.objectContaining({ name: "RelayError", retryable: true, reached: "no" }),
    );
  });
});

describe("a key file's text", () => {
  const { key } = vectors.derived[0]!;

  test.for([key, `${key}\n`, ` ${key} \r\n`])("%j", (text) => expect(grantKeyBytes(text)).toHaveLength(32));

  test.for([
    "",
    "\n",
    key.slice(1),
    `A${key}`,
    `${key}=`,
    `${key}\n${key}`,
    `+/${key.slice(2)}`,
    `${key.slice(0, 20)} ${key.slice(21)}`,
  ])("%j is refused, unquoted", (text) => {
    expect(outcome(() => grantKeyBytes(text))).toEqual({ error: "request_invalid" });
    if (text.trim() !== "") expect(() => grantKeyBytes(text)).not.toThrow(text.trim().slice(0, 16));
  });
});
