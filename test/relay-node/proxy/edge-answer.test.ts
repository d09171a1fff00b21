import { describe, expect, test } from "vitest";
import { type ErrorCode, ERRORS, problemResponse, RelayError } from "../../../protocol/errors.ts";
import { type EdgeWord, wordOf } from "../../../relay-node/proxy/edge-answer.ts";

/** An answer as the edge writes it for an error. */
function answerOf(error: RelayError, status = error.status, code: string = error.code): EdgeWord {
  const { headers, body } = problemResponse(error);
  const fields = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  fields.set("relay-error", code);
  return wordOf({ status, field: (name) => fields.get(name) ?? null, text: body });
}

const plain = (status: number, text: string) => wordOf({ status, field: () => null, text });

/** In a few words: what is remembered of it, or whether the edge counts as lost. */
function brief(word: EdgeWord): string {
  if (word.kind === "granted") return "granted";
  if (word.kind === "refused") return `refused, ${word.of}`;
  return `${word.isEdgeThere ? "put off" : "lost"}, ${word.error.code}`;
}

test("a grant is passed on as it is", () => {
  expect(plain(200, '{"grant":"a.b.c","more":1}')).toEqual({ kind: "granted", grant: "a.b.c" });
});

test.each([
  [200, ""],
  [200, "<html>"],
  [200, "null"],
  [200, "[]"],
  [200, "{}"],
  [200, '{"grant":7}'],
  [204, ""],
  [302, ""],
  [401, "<html>"],
  [403, '{"code":"target_not_allowed"}'],
  [500, ""],
  [522, "error code: 522"],
])("%d %j without a mark is no word of the edge's", (status, text) => {
  expect(brief(plain(status, text))).toBe("lost, authorization_unavailable");
});

test("what every code of the table comes to", () => {
  const all = (Object.keys(ERRORS) as ErrorCode[]).map(
    (code) => [code, brief(answerOf(new RelayError(code, "why")))] as const,
  );
  const those = (what: string) => all.filter(([, one]) => one === what).map(([code]) => code);
  expect(those("refused, credential")).toEqual([
    "token_malformed",
    "token_type",
    "token_act",
    "token_signature",
    "token_expired",
    "token_premature",
    "token_lifetime",
    "token_audience",
    "token_revoked",
    "handle_unknown",
    "client_unknown",
    "proxy_credentials_missing",
    "proxy_credentials_invalid",
    "quota_exceeded",
    "node_unknown",
  ]);
  const ofTarget = those("refused, target");
  for (const code of ["request_invalid", "url_invalid", "target_not_allowed"] as const) {
    expect(ofTarget).toContain(code);
  }
  for (const code of ofTarget) expect([400, 403]).toContain(ERRORS[code].status);
  // What is worth trying again is passed on; with the registry, every question fares the same.
  expect(brief(answerOf(new RelayError("rate_limited", "why")))).toBe("put off, rate_limited");
  expect(brief(answerOf(new RelayError("no_node", "why")))).toBe("put off, no_node");
  expect(brief(answerOf(new RelayError("registry_unavailable", "why")))).toBe("lost, registry_unavailable");
  for (const code of [
    "edge_internal",
    "edge_misconfigured",
    "not_found",
    "too_large",
    "body_digest",
  ] as const) {
    expect(those("lost, authorization_unavailable")).toContain(code);
  }
  // Nothing that is not worth trying again is passed on but refusals.
  for (const [code, what] of all) {
    const isPassedOn = !what.startsWith("refused") && what.endsWith(`, ${code}`);
    if (isPassedOn && code !== "authorization_unavailable") expect(ERRORS[code].retryable).toBe(true);
  }
});

describe("a code that a newer edge knows is taken by its status", () => {
  test.each([
    [400, "refused, target"],
    [401, "refused, credential"],
    [403, "refused, target"],
    [404, "lost, authorization_unavailable"],
    [407, "refused, credential"],
    [429, "lost, authorization_unavailable"],
    [503, "lost, authorization_unavailable"],
  ])("%d: %s", (status, what) => {
    expect(brief(answerOf(new RelayError("edge_failed", "why"), status, "of_tomorrow"))).toBe(what);
  });
});

test("that the node's own word is not believed is no refusal of the user", () => {
  for (const status of [401, 403, 503]) {
    const word = answerOf(new RelayError("edge_failed", "why"), status, "node_unproven");
    expect(word).toMatchObject({ kind: "unjudged", cause: "node_unproven", isEdgeThere: false });
  }
});

test.each(["", "Not A Code", "x".repeat(41), 'a"b', "token_signature\n"])("%j is no code", (code) => {
  const word = answerOf(new RelayError("token_signature", "why"), 401, code);
  expect(word).toMatchObject({ kind: "unjudged", cause: "status 401" });
});

test("a refusal says what the edge said, that the target saw nothing, and when to come again", () => {
  const refused = answerOf(new RelayError("target_not_allowed", "not for app", { reached: "unknown" }));
  expect(refused).toMatchObject({ error: { detail: "not for app", reached: "no" } });
  const later = answerOf(new RelayError("rate_limited", "slowly", { retryAfter: 9 }));
  expect(later).toMatchObject({ error: { detail: "slowly", retryAfter: 9, retryable: true } });
});
