import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ERRORS, type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { faultOf, NOWHERE, resultOfThrown, UnreadableError } from "../../worker/deliveries/send/failure.ts";
import { UnsealError } from "../../worker/sealing.ts";

const TOLD = vi.spyOn(console, "error");
beforeAll(() => void TOLD.mockImplementation(() => {}));
afterAll(() => TOLD.mockRestore());

/** Whose each failure is. All that isn't here is the relay's own, and spends nothing. */
const OTHERS: Readonly<Record<string, readonly ErrorCode[]>> = {
  target: [
    "dns_failed",
    "dns_timeout",
    "connect_refused",
    "connect_failed",
    "connect_timeout",
    "tls_certificate",
    "tls_failed",
    "target_reset",
    "target_closed",
    "target_protocol",
    "target_timeout",
    "target_fields_too_large",
    "status_not_representable",
  ],
  request: [
    "request_invalid",
    "url_invalid",
    "fields_invalid",
    "fields_too_large",
    "too_large",
    "target_not_allowed",
    "address_refused",
    "body_cut",
  ],
  absence: ["client_unknown", "route_unknown", "revoked"],
  stored: ["body_digest"],
};

/** All of the relay's own, by name: a code that is new has to be put somewhere. */
const RELAYS =
  `token_missing token_malformed token_type token_act token_signature token_expired token_premature token_lifetime
  token_audience token_method token_url token_framing token_replayed token_revoked handle_unknown platform_token_invalid
  platform_token_refused proof_invalid certificate_expired certificate_invalid issuer_unavailable proxy_credentials_missing
  proxy_credentials_invalid head_late not_found method_not_allowed version_conflict rate_limited concurrency_limited quota_exceeded
  hook_signature route_unreadable backlog_full storage_unavailable delivery_conflict delivery_unknown grant_missing grant_invalid
  grant_expired grant_node request_predates_node upgrade_required stream_unknown stream_protocol stream_lost stream_idle
  stream_lifetime stream_cancelled node_draining node_out_of_service node_full node_unreachable node_failed node_internal
  node_unknown node_unproven authorization_unavailable no_node edge_misconfigured edge_internal registry_unavailable
  platform_token_missing platform_token_failed edge_unreachable edge_failed answer_invalid answer_cut receipt_invalid
  egress_not_listed redirect_failed`.split(/\s+/);

test("each of the relay's errors is somebody's fault", () => {
  const table = Object.fromEntries([
    ...RELAYS.map((code) => [code, "relay"]),
    ...Object.entries(OTHERS).flatMap(([whose, codes]) => codes.map((code) => [code, whose])),
  ]);
  expect(Object.fromEntries(Object.keys(ERRORS).map((code) => [code, faultOf(code)]))).toEqual(table);
});

test("what a newer node says is the relay's own fault", () => {
  expect(faultOf("planet_misaligned")).toBe("relay");
});

const MADE = { node: "node-1", egress: "127.0.0.2" };

test.for([
  [
    "the target's",
    new RelayError("connect_refused", "refused"),
    { kind: "failed", code: "connect_refused", detail: "refused", ...MADE },
  ],
  [
    "policy's",
    new RelayError("target_not_allowed", "no"),
    { kind: "failed", code: "target_not_allowed", detail: "no", ...MADE },
  ],
  [
    "the relay's, with a time",
    new RelayError("rate_limited", "slow", { retryAfter: 7 }),
    { kind: "relay", code: "rate_limited", detail: "slow", retryAfter: 7, ...MADE },
  ],
  ["a client's that is gone", new RelayError("client_unknown", "gone"), { kind: "held", reason: "gone" }],
  ["the store's", new RelayError("body_digest", "differs"), { kind: "unreadable", detail: "differs" }],
  ["the store's own word", new UnreadableError("bytes"), { kind: "unreadable", detail: "bytes" }],
  [
    "what was changed at rest",
    new UnsealError("data"),
    {
      kind: "unreadable",
      detail: "what is stored of it can't be opened: it was changed, or stands elsewhere",
    },
  ],
  [
    "a key's that is missing",
    new UnsealError("key"),
    {
      kind: "relay",
      code: "edge_misconfigured",
      detail: "what is stored of it can't be opened: no key of STORAGE_KEYS sealed it",
      retryAfter: null,
      ...MADE,
    },
  ],
  [
    "nobody's",
    new TypeError("s3cr3t"),
    {
      kind: "relay",
      code: "edge_internal",
      detail: "the edge failed in the middle of it; its log says more",
      retryAfter: null,
      ...MADE,
    },
  ],
] as const)("an attempt's failure is %s", ([, thrown, result]) => {
  expect(resultOfThrown(thrown, MADE)).toEqual(result);
});

test("without a node nothing is said of one", () => {
  expect(resultOfThrown(new RelayError("no_node", "none"), NOWHERE)).toMatchObject({
    node: null,
    egress: null,
  });
});
