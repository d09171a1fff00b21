import { describe, expect, test } from "vitest";
import { loadIssuer, ruleId } from "../../worker/issuers.ts";
import { judgeToken } from "../../worker/keyless/rules.ts";
import { PLATFORM_CLAIMS } from "../support/oidc-issuer.ts";

const EDGE = "https://edge.example.com";
const GITHUB = "https://token.actions.githubusercontent.com";
const EKS = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";

describe("a loaded rule's claims", () => {
  const rule = loadIssuer({ issuer: EKS, claims: { sub: "system:serviceaccount:shop:*" } });
  test.each<[sub: unknown, isIn: boolean]>([
    ["system:serviceaccount:shop:api", true],
    ["system:serviceaccount:shop:", true],
    ["system:serviceaccount:shop", false],
    ["system:serviceaccount:shop-evil:api", false],
    ["xsystem:serviceaccount:shop:api", false],
    ["SYSTEM:serviceaccount:shop:api", false],
    [["system:serviceaccount:shop:api"], false],
    [{ toString: () => "system:serviceaccount:shop:api" }, false],
    [undefined, false],
  ])("%j: %s", (sub, isIn) => {
    expect("identity" in judgeToken([rule], { iss: EKS, aud: EDGE, sub }, EDGE)).toBe(isIn);
  });

  test.each<[string, Readonly<Record<string, unknown>>, readonly string[]]>([
    ["an address that is not shown to be its own", { email_verified: false }, ["email_verified"]],
    ["one of which nothing is said", { email_verified: undefined }, ["email_verified"]],
    ["another address", { email: "evil@acme.iam.gserviceaccount.com" }, ["email"]],
  ])("let %s not in", (_what, changes, differs) => {
    const google = loadIssuer({ issuer: "google", claims: { email: PLATFORM_CLAIMS.google.email } });
    const claims = { iss: "https://accounts.google.com", aud: EDGE, ...PLATFORM_CLAIMS.google, ...changes };
    expect(judgeToken([google], claims, EDGE)).toEqual({ differs });
  });

  test("of several rules one has to hold altogether, and the nearest one is told", () => {
    const rules = [
      loadIssuer({ issuer: "github", claims: { repository: "acme/shop", ref: "refs/heads/main" } }),
      loadIssuer({
        issuer: "github",
        audience: "own",
        claims: { repository: "acme/other", ref: "refs/heads/dev" },
      }),
      loadIssuer({ issuer: EKS, claims: { sub: "x" } }),
    ];
    const judge = (claims: object) =>
      judgeToken(rules, { iss: GITHUB, aud: EDGE, sub: "s", ...claims }, EDGE);
    expect(judge({ repository: "acme/shop", ref: "refs/heads/main" })).toMatchObject({
      identity: { iss: GITHUB },
    });
    expect(judge({ aud: "own", repository: "acme/other", ref: "refs/heads/dev" })).toHaveProperty("identity");
    expect(judge({ repository: "acme/other", ref: "refs/heads/main" })).toEqual({ differs: ["repository"] });
    expect(judge({ aud: "own", repository: "acme/other", ref: "refs/heads/main" })).toEqual({
      differs: ["ref"],
    });
    expect(judgeToken(rules, { iss: "https://evil.example.com", aud: EDGE, sub: "x" }, EDGE)).toEqual({
      differs: [],
    });
  });
});

describe("a rule's id", () => {
  const rule = { issuer: "github", claims: { repository: "acme/shop", ref: "refs/heads/main" } };
  test.each<[what: string, other: Parameters<typeof ruleId>[0], isSame: boolean]>([
    [
      "written in another order",
      { claims: { ref: "refs/heads/main", repository: "acme/shop" }, issuer: "github" },
      true,
    ],
    ["with its issuer written out", { ...rule, issuer: GITHUB }, true],
    ["of another issuer", { ...rule, issuer: EKS }, false],
    ["with an audience", { ...rule, audience: EDGE }, false],
    ["with a claim less", { ...rule, claims: { repository: "acme/shop" } }, false],
    ["with another claim", { ...rule, claims: { ...rule.claims, ref: "refs/heads/dev" } }, false],
  ])("%s: the same? %s", async (_what, other, isSame) => {
    expect((await ruleId(other)) === (await ruleId(rule))).toBe(isSame);
  });
});
