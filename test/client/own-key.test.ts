import { afterEach, expect, test, vi } from "vitest";
import { ownKey } from "../../client/own-key.ts";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey, importPublicKey, SIGNING_ALGORITHMS } from "../../protocol/keys.ts";
import { readBearer, signToken, verifySignature } from "../../protocol/tokens.ts";

afterEach(() => void vi.unstubAllGlobals());

const RUNTIMES = [
  ["Node", {}, ["function", "object"]],
  ["a runtime that is like Node", { userAgent: "Cloudflare-Workers" }, ["object", "object"]],
  ["a Node that says nothing of itself", undefined, ["object", "object"]],
] as const;

test.for(RUNTIMES.flatMap((runtime) => SIGNING_ALGORITHMS.map((alg) => [alg, ...runtime] as const)))(
  "what %s signs in %s is proven by the key that was registered",
  async ([alg, , navigator, kinds]) => {
    if (navigator === undefined || "userAgent" in navigator) vi.stubGlobal("navigator", navigator);
    const { publicJwk, privateKey } = await generateClientKey(alg);
    const own = await ownKey(privateKey);
    expect([own.alg, typeof own.key]).toEqual([alg, kinds[SIGNING_ALGORITHMS.indexOf(alg)]]);
    const bound = await importPublicKey(publicJwk);
    for (let n = 0; n < 3; n++) {
      const token = await signToken("request", { iss: "acme", n }, own);
      expect(await verifySignature(readBearer("request", `Bearer ${token}`), [bound])).toBe(bound);
      const { publicJwk: another } = await generateClientKey(alg);
      await expect(
        verifySignature(readBearer("request", `Bearer ${token}`), [await importPublicKey(another)]),
      ).rejects.toMatchObject({ code: "token_signature" });
    }
  },
);

test.for(
  RUNTIMES.flatMap(([name, navigator]) =>
    ["", "short", "!".repeat(43), `es256.${"A".repeat(43)}`, "es256.", "x".repeat(44)].map(
      (text) => [name, text, navigator] as const,
    ),
  ),
)("%s refuses %j without quoting it", async ([, text, navigator]) => {
  if (navigator === undefined || "userAgent" in navigator) vi.stubGlobal("navigator", navigator);
  const error = await ownKey(text).catch((thrown: unknown) => thrown);
  expect(isRelayError(error) && error.code).toBe("request_invalid");
  const { message, cause } = error as Error;
  expect(cause).toBeUndefined();
  if (text !== "") expect(message).not.toContain(text);
});
