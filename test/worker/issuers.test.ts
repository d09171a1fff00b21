import { describe, expect, test } from "vitest";
import { isRelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { loadClient, parseClientRecord } from "../../worker/clients.ts";
import type { IssuerRecord } from "../../worker/issuers.ts";
import { judgeToken } from "../../worker/keyless/rules.ts";
import { PLATFORM_CLAIMS } from "../support/oidc-issuer.ts";

const EDGE = "https://edge.example.com";
const GITHUB = "https://token.actions.githubusercontent.com";
const FLY = "https://oidc.fly.io/acme";
const VERCEL = "https://oidc.vercel.com";
const AWS = "https://a1faa616-d595-447d-bdfd-64b774ab199c.tokens.sts.global.api.aws";
const EKS = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";

/** What is wrong with a record that has this rule; nothing where it is taken. */
function problems(changes: object): string {
  try {
    parseClientRecord({ id: "ci", keys: [], allow: [], ...changes });
    return "";
  } catch (error) {
    if (!isRelayError(error)) throw error;
    expect(error.code).toBe("request_invalid");
    return error.detail;
  }
}

const problemsOf = (rule: unknown) => problems({ issuers: [rule] });

describe("a rule is taken, and lets its platform's tokens in", () => {
  test.each<[IssuerRecord, issuer: string, claims: Readonly<Record<string, unknown>>]>([
    [{ issuer: "github", claims: { repository: "acme/shop" } }, GITHUB, PLATFORM_CLAIMS.github],
    [
      { issuer: GITHUB, claims: { repository: "acme/*", environment: "production" } },
      GITHUB,
      PLATFORM_CLAIMS.github,
    ],
    [{ issuer: "github", claims: { repository_owner_id: "123456" } }, GITHUB, PLATFORM_CLAIMS.github],
    [
      { issuer: "github", claims: { repository_id: "456789", ref: "refs/heads/*" } },
      GITHUB,
      PLATFORM_CLAIMS.github,
    ],
    [{ issuer: "github", claims: { sub: "repo:acme/shop:*" } }, GITHUB, PLATFORM_CLAIMS.github],
    [{ issuer: "github", claims: { sub: "repo:acme/*" } }, GITHUB, PLATFORM_CLAIMS.github],
    [
      { issuer: "github", claims: { sub: "repo:acme@123456/*" } },
      GITHUB,
      PLATFORM_CLAIMS["github, numbered"],
    ],
    [
      { issuer: "github", claims: { sub: "repo:acme@123456/shop@456789:environment:production" } },
      GITHUB,
      PLATFORM_CLAIMS["github, numbered"],
    ],
    [
      { issuer: `${GITHUB}/acme-inc`, claims: { repository: "acme/shop" } },
      `${GITHUB}/acme-inc`,
      PLATFORM_CLAIMS.github,
    ],
    [{ issuer: FLY, claims: { sub: "acme:shop:*" } }, FLY, PLATFORM_CLAIMS.fly],
    [{ issuer: FLY, claims: { app_name: "shop" } }, FLY, PLATFORM_CLAIMS.fly],
    [
      { issuer: FLY, audience: "holdfast", claims: { org_id: "29873298" } },
      FLY,
      { ...PLATFORM_CLAIMS.fly, aud: "holdfast" },
    ],
    [{ issuer: `${VERCEL}/acme`, claims: { project: "shop" } }, `${VERCEL}/acme`, PLATFORM_CLAIMS.vercel],
    [{ issuer: VERCEL, claims: { owner: "acme", project: "shop" } }, VERCEL, PLATFORM_CLAIMS.vercel],
    [{ issuer: VERCEL, claims: { sub: "owner:acme:*" } }, VERCEL, PLATFORM_CLAIMS.vercel],
    [
      { issuer: "google", claims: { sub: "104029292853099978293" } },
      "https://accounts.google.com",
      PLATFORM_CLAIMS.google,
    ],
    [
      { issuer: "google", claims: { email: "shop@acme.iam.gserviceaccount.com" } },
      "https://accounts.google.com",
      PLATFORM_CLAIMS.google,
    ],
    [{ issuer: AWS, claims: { sub: "arn:aws:iam::123456789012:role/shop" } }, AWS, PLATFORM_CLAIMS.aws],
    [{ issuer: AWS, claims: { sub: "arn:aws:iam::123456789012:role/*" } }, AWS, PLATFORM_CLAIMS.aws],
    [{ issuer: EKS, claims: { sub: "system:serviceaccount:shop:*" } }, EKS, PLATFORM_CLAIMS.kubernetes],
    [
      { issuer: "https://id.example.com/", claims: { team: "shop" } },
      "https://id.example.com/",
      { sub: "1", team: "shop" },
    ],
    [{ issuer: "http://127.0.0.1:8080/x", claims: { sub: "1" } }, "http://127.0.0.1:8080/x", { sub: "1" }],
  ])("%j", async (rule, iss, claims) => {
    expect(problemsOf(rule)).toBe("");
    const { issuers } = await loadClient(
      parseClientRecord({ id: "ci", keys: [], allow: [], issuers: [rule] }),
    );
    expect(judgeToken(issuers, { iss, aud: EDGE, ...claims }, EDGE)).toMatchObject({ identity: { iss } });
  });
});

describe("a rule is refused, and quoted", () => {
  const OK = { repository: "acme/shop" };
  test.each<[what: string, rule: unknown, told: RegExp]>([
    ["nothing", {}, /issuers\.0\.issuer must be of type string; issuers\.0\.claims must be of type/],
    ["an unknown member", { issuer: "github", claims: OK, owner: "x" }, /issuers\.0 has unknown keys: owner/],
    [
      "a claim that is no text",
      { issuer: "github", claims: { repository_id: 456789 } },
      /claims\.repository_id must be of type string/,
    ],
    // Whoever it is, a multi-tenant issuer's word alone is everybody's.
    [
      "an issuer alone",
      { issuer: "github", claims: {} },
      /issuers\.0\.claims must name the owner, by repository or repository_id or/,
    ],
    [
      "no owner's claim",
      { issuer: "github", claims: { ref: "refs/heads/main", actor: "octocat" } },
      /must name the owner, by repository/,
    ],
    [
      "a reusable workflow's",
      { issuer: "github", claims: { job_workflow_ref: "acme/shop/.github/workflows/x.yml@main" } },
      /must name the owner/,
    ],
    ["an issuer of a tenant's alone", { issuer: FLY, claims: {} }, /must name the owner, by sub or app_id/],
    ["a region's", { issuer: FLY, claims: { region: "fra" } }, /must name the owner/],
    ["any issuer alone", { issuer: EKS, claims: {} }, /must name the owner, by a claim/],
    [
      "a project in the global mode",
      { issuer: VERCEL, claims: { project: "shop" } },
      /must name the owner, by sub or owner/,
    ],
    [
      "an environment",
      { issuer: `${VERCEL}/acme`, claims: { environment: "production" } },
      /must name the owner/,
    ],
    [
      "aud as a claim",
      { issuer: EKS, claims: { sub: "x", aud: EDGE } },
      /claims\.aud is checked in any case.*"https:\/\/edge\.example\.com"/,
    ],
    // Prefixes that match a neighbour.
    ["everybody", { issuer: EKS, claims: { sub: "*" } }, /claims\.sub must end in \/\* or :\*.*\(is "\*"\)/],
    [
      "a prefix inside a name",
      { issuer: "github", claims: { repository: "acme*" } },
      /claims\.repository must end in .*neighbours.*"acme\*"/,
    ],
    ["a prefix inside a repository", { issuer: "github", claims: { sub: "repo:acme/shop*" } }, /must end in/],
    ["a separator alone", { issuer: EKS, claims: { sub: "/*" } }, /must end in/],
    ["two separators", { issuer: EKS, claims: { sub: "a//*" } }, /must end in/],
    [
      "a star in the middle",
      { issuer: "github", claims: { sub: "repo:acme/*:ref:refs/heads/main" } },
      /may have one \* alone, as its last/,
    ],
    ["two stars", { issuer: EKS, claims: { sub: "a:**" } }, /may have one \*/],
    [
      "every repository",
      { issuer: "github", claims: { sub: "repo:*" } },
      /claims\.sub must be of the form repo:<owner>/,
    ],
    [
      "every owner",
      { issuer: "github", claims: { sub: "repository_owner:*" } },
      /claims\.sub must be of the form/,
    ],
    [
      "every Vercel team",
      { issuer: VERCEL, claims: { sub: "owner:*" } },
      /claims\.sub must be of the form owner:<team>/,
    ],
    [
      "every AWS account",
      { issuer: AWS, claims: { sub: "arn:aws:iam:*" } },
      /claims\.sub must be of the form arn:aws:iam::<account>/,
    ],
    [
      "a repository without its owner",
      { issuer: "github", claims: { repository: "shop" } },
      /claims\.repository must be of the form <owner>\/<repo/,
    ],
    [
      "an account's address as its number",
      { issuer: "google", claims: { sub: "shop@acme.iam.gserviceaccount.com" } },
      /must be of the form the number/,
    ],
    // Audiences that other services take, too.
    ...(
      [
        ["https://vercel.com/acme", /Vercel's default/],
        ["https://github.com/acme", /GitHub's default/],
        ["https://fly.io/acme", /Fly's default/],
        ["sts.amazonaws.com", /what AWS takes/],
        ["https://sts.eu-central-1.amazonaws.com", /what AWS takes/],
        [
          "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
          /what Google Cloud takes/,
        ],
        ["api://AzureADTokenExchange", /what Azure takes/],
        ["https://kubernetes.default.svc.cluster.local", /Kubernetes' default/],
        ["sigstore", /what Sigstore takes/],
      ] as const
    ).map(([audience, told]): [string, unknown, RegExp] => [
      `the audience ${audience}`,
      { issuer: "github", audience, claims: OK },
      new RegExp(`issuers\\.0\\.audience is ${told.source}.*\\(is "`),
    ]),
    [
      "an empty audience",
      { issuer: "github", audience: "", claims: OK },
      /audience must have 1 to 256 printable/,
    ],
    [
      "an audience with a line's end",
      { issuer: "github", audience: "a\nb", claims: OK },
      /audience must have/,
    ],
    // Issuers.
    [
      "a platform without an issuer of all",
      { issuer: "fly", claims: { app_name: "shop" } },
      /issuer must be written out: .*oidc\.fly\.io\/<organisation> \(is "fly"\)/,
    ],
    [
      "an unknown platform",
      { issuer: "gitlab", claims: OK },
      /issuer must be github or google, or an issuer's URL \(is "gitlab"\)/,
    ],
    ["plain http", { issuer: "http://id.example.com", claims: OK }, /issuer must be an https URL/],
    ["a query", { issuer: "https://id.example.com/?x", claims: OK }, /issuer must be an https URL/],
    ["a user", { issuer: "https://u@id.example.com", claims: OK }, /issuer must be an https URL/],
    [
      "a host in upper case",
      { issuer: "https://ID.example.com", claims: OK },
      /issuer must be an https URL in canonical form/,
    ],
    ["a port that goes without saying", { issuer: "https://id.example.com:443", claims: OK }, /canonical/],
    [
      "GitHub's with more path",
      { issuer: `${GITHUB}/a/b`, claims: OK },
      /issuer must be "github", or an enterprise's/,
    ],
    ["GitHub's with a slash", { issuer: `${GITHUB}/`, claims: OK }, /issuer must be "github"/],
    [
      "Fly's without its organisation",
      { issuer: "https://oidc.fly.io", claims: { app_name: "shop" } },
      /issuer must be https:\/\/oidc\.fly\.io\/<organisation>/,
    ],
    [
      "nine claims",
      { issuer: EKS, claims: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`c${i}`, "x"])) },
      /claims must hold at most 8 claims/,
    ],
    [
      "a claim of 257 characters",
      { issuer: EKS, claims: { sub: "x".repeat(257) } },
      /claims\.sub must have 1 to 256/,
    ],
  ])("%s", (_what, rule, told) => {
    expect(problemsOf(rule)).toMatch(told);
  });

  test("with all its problems at once, each with its value", () => {
    const told = problemsOf({
      issuer: "https://oidc.fly.io",
      audience: "https://fly.io/acme",
      claims: { region: "f*", exp: "1" },
    });
    expect(told.split("; ")).toHaveLength(5);
    for (const value of ["https://oidc.fly.io", "https://fly.io/acme", "f*"]) {
      expect(told).toContain(`(is "${value}")`);
    }
  });
});

describe("a client's record", () => {
  const issuers = [{ issuer: "github", claims: { repository: "acme/shop" } }];
  test.each([
    ["no key and no issuer", {}, /keys must hold at least one key, or issuers at least one issuer/],
    ["no issuer in the list", { issuers: [] }, /issuers must hold at least one issuer; keys must hold/],
    [
      "eleven issuers",
      { issuers: Array.from({ length: 11 }, () => issuers[0]) },
      /issuers must hold at most 10 issuers/,
    ],
    ["bearer alone", { bearer: true }, /bearer needs issuers/],
    ["bearer that is text", { issuers, bearer: "yes" }, /bearer must be of type boolean/],
  ])("with %s is refused", (_what, changes, told) => {
    expect(problems(changes)).toMatch(told);
  });

  test("may have both keys and issuers, and takes no platform's token as it is unless it says so", async () => {
    const { publicJwk } = await generateClientKey();
    const record = parseClientRecord({ id: "ci", keys: [publicJwk], allow: [], issuers });
    expect(await loadClient(record)).toMatchObject({ bearer: false, issuers: [{ issuer: GITHUB }] });
    expect(await loadClient({ ...record, bearer: true })).toMatchObject({ bearer: true });
  });
});
