import { describe, expect, test } from "vitest";
import { grantKeyBytes, importGrantKey, verifyGrant } from "../../protocol/grants.ts";
import { PROXY_GRANT_MAX_BYTES } from "../../protocol/limits.ts";
import {
  isWithin,
  type ProxyGrantClaims,
  rulesOf,
  signProxyGrant,
  verifyProxyGrant,
} from "../../protocol/proxy-grants.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { grantVerifier } from "../../relay-node/grant-verifier.ts";
import { readVectors } from "../vectors/read.ts";
import { outcome, outcomeOf } from "./outcome.ts";

interface Case {
  readonly name: string;
  readonly grant: string;
  readonly expect?: ProxyGrantClaims;
  readonly error?: string;
}

const {
  edge,
  node,
  now,
  key,
  cases,
  within: requests,
} = readVectors("proxy-grants.json") as {
  readonly edge: string;
  readonly node: string;
  readonly now: number;
  readonly key: string;
  readonly cases: readonly Case[];
  readonly within: readonly {
    readonly name: string;
    readonly within: readonly (readonly string[])[] | null;
    readonly method: string;
    readonly url: string;
    readonly admitted: boolean;
  }[];
};
const grants = readVectors("grants.json") as {
  readonly cases: readonly {
    readonly name: string;
    readonly authorization: string;
    readonly expect?: object;
  }[];
};

const context = async () => ({
  edge,
  nodeId: node,
  keys: [grantVerifier(grantKeyBytes(key))],
  now,
});
const judge = async (grant: string) => verifyProxyGrant(grant, await context());
const named = (name: string) => cases.find((one) => one.name === name)!;

describe("proxy grants", () => {
  test.for(cases)("$name", async (one) => {
    const got = await outcomeOf(() => judge(one.grant));
    expect(got).toEqual(one.expect === undefined ? { error: one.error } : { value: one.expect });
  });

  test("signing gives the file's bytes", async () => {
    const { expect: claims, grant } = named("two lists of targets");
    expect(await signProxyGrant(claims!, await importGrantKey(grantKeyBytes(key)))).toBe(grant);
  });

  test("the long ones are on either side of the limit", () => {
    expect(named("a long list of targets").grant.length).toBeLessThan(PROXY_GRANT_MAX_BYTES);
    expect(named("longer than is looked at").grant.length).toBeGreaterThan(PROXY_GRANT_MAX_BYTES);
  });

  test("no grant for one request is one for a proxy", async () => {
    const taken = grants.cases.filter((one) => one.expect !== undefined);
    expect(taken.length).toBeGreaterThan(5);
    for (const { authorization } of taken) {
      const got = await outcomeOf(() => judge(authorization.slice("Bearer ".length)));
      expect(got).toEqual({ error: "grant_invalid" });
    }
  });

  test.for(["fetch", "stream", "resolve", "cancel"] as const)(
    "and no grant for a proxy is one for a request with act %s",
    async (act) => {
      for (const { grant } of cases.filter((one) => one.expect !== undefined)) {
        const got = await outcomeOf(async () => verifyGrant(`Bearer ${grant}`, await context(), act));
        expect(got).toEqual({ error: "grant_invalid" });
      }
    },
  );
});

describe("what a grant's requests have to lie within", () => {
  test.for(requests)("$name", ({ within, method, url, admitted }) => {
    const rules = rulesOf({ ...named("an origin").expect!, ...(within !== null && { within }) });
    expect(isWithin(rules, method, parseTargetUrl(url))).toBe(admitted);
  });

  test("an entry that can't be read refuses the grant", () => {
    const claims = { ...named("an origin").expect!, within: [["http://legacy.example.com", "ftp://x"]] };
    expect(outcome(() => rulesOf(claims))).toEqual({ error: "request_invalid" });
  });
});
