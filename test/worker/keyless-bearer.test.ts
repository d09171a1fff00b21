import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../protocol/errors.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { monthOf, NO_USAGE } from "../../protocol/usage.ts";
import { type IssuerRecord, ruleId } from "../../worker/issuers.ts";
import { tellUsage } from "../support/asking-node.ts";
import { type KeylessStack, newWorkloadKey, startKeyless, TARGET } from "../support/keyless.ts";
import type { OidcIssuer } from "../support/oidc-issuer.ts";
import { expectRefusal } from "../support/refusal.ts";

const DB = "tcp://db.example.com:5432";
let stack: KeylessStack;
let issuer: OidcIssuer;
let record: { readonly allow: readonly string[]; readonly issuers: readonly IssuerRecord[] };

beforeAll(async () => {
  stack = await startKeyless();
  issuer = stack.issuers.issuer("/acme", stack.pool.edge);
  record = {
    allow: [TARGET, DB],
    issuers: [{ issuer: issuer.url, claims: { repository: "acme/shop" } }],
  };
  await stack.register("ci", record);
  await stack.register("open", { ...record, bearer: true });
});
afterAll(async () => {
  expect(stack.pool.log()).not.toMatch(/eyJ/);
  await stack.stop();
});

describe("a platform's token as it is", () => {
  const sent = (more: readonly string[] = [], token = issuer.token("github"), line?: string, body?: string) =>
    stack.ask([`Relay-Authorization: Bearer ${token}`, ...more], line, body);
  const NAMED = ["Relay-Client: open", `Relay-Target: ${TARGET}`];

  test("is no way past a quota, exchanged or not", async () => {
    const quota = { requests: { hard: 1 } };
    await stack.register("full", { ...record, bearer: true, quota });
    const total = { ...NO_USAGE, client: "full", month: monthOf(Date.now()), requests: 1 };
    await tellUsage(stack.pool, { epoch: newRequestId(), totals: [total] });
    const token = issuer.token("github");
    const fields = ["Relay-Client: full", `Relay-Target: ${TARGET}`];
    const exchanged = stack.exchange({ client: "full", token, key: await newWorkloadKey() });
    for (const answer of [sent(fields, token), exchanged]) expectRefusal(await answer, "quota_exceeded");
  });

  test("goes where the client's record says so, each time under an id of the edge's", async () => {
    const token = issuer.token("github");
    const ids: string[] = [];
    for (const [line, body] of [
      ["GET /fetch", ""],
      ["POST /fetch", "hello"],
      ["POST /fetch", ""],
    ] as const) {
      const answer = await sent([...NAMED, `Content-Length: ${body.length}`, "X-Own: 1"], token, line, body);
      expect([answer?.status, answer?.field("relay-status")]).toEqual([200, "target"]);
      const { grant, fields, body: came } = stack.pool.nodes[0]!.sent.at(-1)!;
      expect(grant).toMatchObject({ sub: "open", act: "fetch", htm: line.split(" ")[0], url: TARGET });
      expect(came).toBe(body);
      expect(fields.filter(([name]) => /^(relay-|x-)/i.test(name))).toEqual([["x-own", "1"]]);
      // It goes by no key, but ends with the rule that let it in.
      expect([grant.key, grant.rule]).toEqual([undefined, await ruleId(record.issuers[0]!)]);
      ids.push(grant.jti);
    }
    expect(new Set(ids).size).toBe(3);
  });

  test.each<[what: string, code: ErrorCode, fields: readonly string[], line?: string]>([
    ["where the record doesn't", "platform_token_refused", ["Relay-Client: ci", `Relay-Target: ${TARGET}`]],
    ["without target", "request_invalid", ["Relay-Client: open"]],
    ["in an envelope", "request_invalid", [...NAMED, "Relay-Envelope: 1"], "POST /fetch"],
    ["of no client's id", "request_invalid", ["Relay-Client: No!", `Relay-Target: ${TARGET}`]],
    ["of a client that there isn't", "client_unknown", ["Relay-Client: nobody", `Relay-Target: ${TARGET}`]],
    ["without a client", "token_type", [`Relay-Target: ${TARGET}`]],
    [
      "to another target",
      "target_not_allowed",
      ["Relay-Client: open", "Relay-Target: https://evil.example.com/"],
    ],
    ["to no URL", "url_invalid", ["Relay-Client: open", "Relay-Target: here"]],
    ["to a stream's target", "url_invalid", ["Relay-Client: open", `Relay-Target: ${DB}`]],
    ["at another door", "token_type", NAMED, "POST /cancel"],
    ["at the streams' door", "upgrade_required", NAMED, "GET /stream"],
  ])("does not go %s: %s", async (_what, code, fields, line) => {
    const before = stack.pool.nodes[0]!.heads;
    expectRefusal(await sent(fields, undefined, line), code);
    expect(stack.pool.nodes[0]!.heads).toBe(before);
  });

  test("does not go for a foreign owner, nor without a token", async () => {
    const foreign = issuer.token("github", { claims: { repository: "evil/shop" } });
    expectRefusal(await sent(NAMED, foreign), "platform_token_refused");
    expectRefusal(await stack.ask(NAMED), "token_missing");
  });
});
