import { describe, expect, test } from "vitest";
import {
  ERRORS,
  type ErrorCode,
  errorFromProblem,
  isErrorCode,
  isRelayError,
  type Problem,
  problemResponse,
  type Reached,
  RelayError,
} from "../../protocol/errors.ts";

const CODES = Object.keys(ERRORS).filter(isErrorCode);
const REACHES: readonly Reached[] = ["no", "yes", "unknown"];

/** The registry that RFC 9209 section 2.3 sets up, as it stands in the RFC. */
const REGISTERED = new Set([
  "dns_timeout",
  "dns_error",
  "destination_not_found",
  "destination_unavailable",
  "destination_ip_prohibited",
  "destination_ip_unroutable",
  "connection_refused",
  "connection_terminated",
  "connection_timeout",
  "connection_read_timeout",
  "connection_write_timeout",
  "connection_limit_reached",
  "tls_protocol_error",
  "tls_certificate_error",
  "tls_alert_received",
  "http_request_error",
  "http_request_denied",
  "http_response_incomplete",
  "http_response_header_section_size",
  "http_response_header_size",
  "http_response_body_size",
  "http_response_trailer_section_size",
  "http_response_trailer_size",
  "http_response_transfer_coding",
  "http_response_content_coding",
  "http_response_timeout",
  "http_upgrade_failed",
  "http_protocol_error",
  "proxy_internal_response",
  "proxy_internal_error",
  "proxy_configuration_error",
  "proxy_loop_detected",
]);

const DESCRIPTION =
  "Every code of Relay-Error: the answer's status, the error type in Proxy-Status (RFC 9209), whether the target can have been reached, and whether a new request is safe and may succeed. The problem JSON of an answer (RFC 9457) may say better of its own `reached` and `retryable`.";

describe("the table", () => {
  test("is the one that other implementations read", async () => {
    const rows = CODES.map((code) => {
      const { status, proxy, reached, retryable } = ERRORS[code];
      return `    ${JSON.stringify({ code, status, proxy, reached, retryable })}`;
    });
    const file = `{\n  "description": ${JSON.stringify(DESCRIPTION)},\n  "errors": [\n${rows.join(",\n")}\n  ]\n}\n`;
    // A code that goes or changes breaks those who handle it. Where it is meant: vitest run -u test/protocol/errors.test.ts
    await expect(file).toMatchFileSnapshot("../vectors/errors.json");
  });

  test.for(CODES)("%s", (code) => {
    const row = ERRORS[code];
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect([
      400, 401, 403, 404, 405, 407, 408, 409, 410, 412, 413, 426, 429, 431, 500, 502, 503, 504,
    ]).toContain(row.status);
    expect(REGISTERED).toContain(row.proxy);
    expect(REACHES).toContain(row.reached);
    expect(row.mend).toMatch(/^[A-Z].+\.$/);
    // What may have arrived is never repeated without being asked.
    if (row.retryable) expect(row.reached).toBe("no");
    // A refusal is the relay's own decision: nothing had been sent.
    // The first use of a token that is replayed may have reached its target.
    const isRefusal = row.proxy === "http_request_denied" || row.proxy.startsWith("dns_");
    if (isRefusal) expect(row.reached).toBe(code === "token_replayed" ? "unknown" : "no");
    if (code.endsWith("_timeout")) expect(row.status).toBe(504);
    if (code.startsWith("token_") || code.startsWith("client_")) expect(row.status).toBe(401);
  });

  test("names of Object's own are no codes", () => {
    for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty", ""]) {
      expect(isErrorCode(name)).toBe(false);
    }
  });
});

describe("RelayError", () => {
  test("takes its row, and lets the thrower know better", () => {
    const error = new RelayError("target_closed", "before any byte", {
      reached: "no",
      node: "fra-1",
      requestId: "x",
    });
    expect(error).toMatchObject({ name: "RelayError", code: "target_closed", status: 502, reached: "no" });
    expect(error).toMatchObject({
      detail: "before any byte",
      node: "fra-1",
      requestId: "x",
      retryable: false,
    });
    expect(error.message).toBe("target_closed: before any byte");
  });

  test("is not retryable where the target may have been reached, whatever the row says", () => {
    expect(new RelayError("connect_refused", "x").retryable).toBe(true);
    expect(new RelayError("connect_refused", "x", { reached: "unknown" }).retryable).toBe(false);
  });

  test("keeps its cause, and is told from others", () => {
    const cause = new Error("below");
    expect(new RelayError("dns_failed", "x", { cause }).cause).toBe(cause);
    expect(isRelayError(new RelayError("dns_failed", "x"))).toBe(true);
    for (const other of [
      cause,
      new TypeError("x"),
      undefined,
      null,
      "RelayError",
      { name: "RelayError", code: "x", reached: "no" },
    ]) {
      expect(isRelayError(other)).toBe(false);
    }
  });
});

describe("on the wire and back", () => {
  test.for(CODES)("%s", (code) => {
    for (const reached of REACHES) {
      const error = new RelayError(code, `because of "${code}"\n`, {
        reached,
        node: "fra-1",
        requestId: "AAECAwQFBgcICQoLDA0ODw",
        retryAfter: 2.5,
      });
      const answer = problemResponse(error);
      const fields = new Map(answer.headers);
      expect(answer.status).toBe(ERRORS[code].status);
      expect(fields.get("Content-Type")).toBe("application/problem+json");
      expect(fields.get("Cache-Control")).toBe("no-store");
      expect(fields.get("Relay-Error")).toBe(code);
      // RFC 9209: a list member that is a token, with parameters (RFC 8941).
      expect(fields.get("Proxy-Status")).toMatch(/^holdfast; error=[a-z_]+$/);
      const problem = JSON.parse(answer.body) as Problem;
      expect(problem).toMatchObject({
        status: answer.status,
        code,
        reached,
        detail: error.detail,
        mend: ERRORS[code].mend,
      });
      expect(fields.get("Relay-Reached")).toBe(reached);

      // An answer to HEAD loses its body, but not what matters.
      const bare = errorFromProblem(code, "", new Headers(answer.headers));
      expect(bare).toMatchObject({ code, reached, retryAfter: 3 });

      const back = errorFromProblem(fields.get("Relay-Error")!, answer.body);
      for (const key of [
        "code",
        "status",
        "reached",
        "retryable",
        "detail",
        "node",
        "requestId",
        "retryAfter",
        "message",
      ] as const) {
        expect(back[key], key).toBe(error[key]);
      }
    }
  });

  test("without node and request id, the members are left out", () => {
    const { body } = problemResponse(new RelayError("token_missing", "x"));
    expect(Object.keys(JSON.parse(body) as object)).not.toContain("node");
    expect(errorFromProblem("token_missing", body)).toMatchObject({ node: undefined, requestId: undefined });
  });

  test.for(["", "<html>", "null", "[]", "1", '"x"', "{}", '{"code":"dns_failed","reached":"yes"}'])(
    "a body lost on the way (%s) leaves the table's row",
    (body) => {
      for (const code of [
        "connect_refused",
        "node_failed",
        "target_timeout",
      ] as const satisfies ErrorCode[]) {
        expect(errorFromProblem(code, body)).toMatchObject({ code, reached: ERRORS[code].reached });
      }
    },
  );

  test.for(["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "1.5", ""])(
    "Retry-After: %s is none of the relay's",
    (value) => {
      const fields = new Headers({ "Retry-After": value });
      expect(errorFromProblem("rate_limited", "", fields).retryAfter).toBeUndefined();
    },
  );

  test("a body without a readable reach is taken as unknown", () => {
    for (const reached of [undefined, null, "maybe", 1]) {
      const back = errorFromProblem("connect_refused", JSON.stringify({ code: "connect_refused", reached }));
      expect(back).toMatchObject({ reached: "unknown", retryable: false });
    }
  });

  test("a code of a newer relay is a failure of unknown reach", () => {
    for (const code of ["quantum_decoherence", "constructor", ""]) {
      const back = errorFromProblem(
        code,
        JSON.stringify({ code, reached: "no", retryable: true, detail: "x" }),
      );
      expect(back).toMatchObject({ code: "edge_failed", reached: "unknown", retryable: false });
      expect(back.detail).toContain("x");
    }
  });

  test("members of another type are left out", () => {
    const body = JSON.stringify({ code: "dns_failed", reached: "no", detail: 1, node: [], request_id: {} });
    expect(errorFromProblem("dns_failed", body)).toMatchObject({
      detail: "the relay gave no detail",
      node: undefined,
      requestId: undefined,
    });
  });
});
