import type { JWK } from "jose";
import { describe, expect, test } from "vitest";
import { importPublicKey } from "../../protocol/keys.ts";
import {
  canonicalAddress,
  type ReceiptClaims,
  type ReceiptContext,
  verifyReceipt,
} from "../../protocol/receipts.ts";
import { readVectors } from "../vectors/read.ts";
import { outcomeOf } from "./outcome.ts";

const vectors = readVectors("receipts.json") as {
  keys: Record<string, JWK>;
  call: Omit<ReceiptContext, "keys">;
  cases: {
    name: string;
    receipt: string;
    published?: string[];
    call?: Partial<ReceiptContext>;
    expect?: ReceiptClaims;
  }[];
};

async function judge(
  receipt: string | null,
  published: readonly string[] = ["node"],
  call: Partial<ReceiptContext> = {},
) {
  const keys = await Promise.all(published.map((name) => importPublicKey(vectors.keys[name]!)));
  return verifyReceipt(receipt, { ...vectors.call, ...call, keys });
}

describe("receipts", () => {
  test.for(vectors.cases)("$name", async ({ receipt, published, call, expect: claims }) => {
    const got = await outcomeOf(() => judge(receipt, published, call));
    expect(got).toEqual(claims === undefined ? { error: "receipt_invalid" } : { value: claims });
  });

  test("none at all", async () =>
    expect(await outcomeOf(() => judge(null))).toEqual({ error: "receipt_invalid" }));

  test("a refusal says that the target has seen the request", async () => {
    await expect(judge(null)).rejects.toMatchObject({ reached: "yes", retryable: false });
  });
});

describe("the one form of an address", () => {
  test.for([
    ["203.0.113.10", "203.0.113.10"],
    ["0.0.0.0", "0.0.0.0"],
    ["2001:DB8:0:0::1", "2001:db8::1"],
    ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
    ["::ffff:203.0.113.10", "::ffff:cb00:710a"],
    ["::", "::"],
  ] as const)("%s is %s", ([text, canonical]) => expect(canonicalAddress(text)).toBe(canonical));

  test.for([
    "",
    "203.0.113",
    "203.0.113.10.",
    "203.0.113.010",
    "203.0.113.256",
    "0x7f.1",
    "1",
    "203.0.113.10:80",
    "[2001:db8::1]",
    "2001:db8::1%eth0",
    "2001:db8::1::2",
    ":",
    "fe80",
    "203.0.113.10/32",
    "api.bank.com",
    "\u0661.0.0.1",
  ])("%j has none", (text) => expect(canonicalAddress(text)).toBeUndefined());
});
