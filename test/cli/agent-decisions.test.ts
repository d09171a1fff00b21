import { describe, expect, test } from "vitest";
import { childEnvironment, keptFromProxies } from "../../cli/agent/child-env.ts";
import {
  clockFinding,
  destinationFinding,
  expectationFinding,
  findingLine,
  nodeFinding,
  type Probe,
} from "../../cli/agent/doctor/findings.ts";
import { readSeen, SEEN_PATH, type SeenPath, urlsFinding } from "../../cli/agent/doctor/urls.ts";
import { exitCodeOf, startFailureCode } from "../../cli/agent/exit.ts";
import { patientOpener } from "../../cli/agent/patient-opener.ts";
import { createRouter } from "../../cli/agent/proxy/router.ts";
import { verdictOf } from "../../cli/agent/relay-check.ts";
import { isForwarded } from "../../cli/agent/signals.ts";
import { isForegroundStat } from "../../cli/agent/terminal.ts";
import type { EgressList } from "../../protocol/egress-list.ts";
import { type ErrorCode, RelayError } from "../../protocol/errors.ts";
import { rootCause } from "../../cli/report.ts";

describe("what the relay says of a token", () => {
  test.each<[ErrorCode, string]>([
    ["target_not_allowed", "accepted"],
    ["dns_failed", "accepted"],
    ["rate_limited", "accepted"],
    ["client_unknown", "refused"],
    ["token_signature", "refused"],
    ["token_expired", "refused"],
    ["token_audience", "refused"],
    ["token_replayed", "unreachable"],
    ["grant_invalid", "unreachable"],
    ["edge_unreachable", "unreachable"],
    ["edge_failed", "unreachable"],
    ["no_node", "unreachable"],
    ["platform_token_missing", "refused"],
    ["platform_token_invalid", "refused"],
    ["platform_token_refused", "refused"],
    ["certificate_invalid", "refused"],
    ["platform_token_failed", "unreachable"],
    ["issuer_unavailable", "unreachable"],
  ])("%s: %s", (code, kind) => {
    expect(verdictOf(new RelayError(code, "so")).kind).toBe(kind);
  });
});

describe("the child's environment", () => {
  const proxies = { http: "http://u:p@127.0.0.1:1", socks: "socks5h://u:p@127.0.0.1:2" };

  test("has the agent's proxies in place of others, and what NO_PROXY held before", () => {
    const env = childEnvironment(
      { HTTP_PROXY: "http://old", all_proxy: "x", NO_PROXY: "a.test, b.test", no_proxy: "b.test", KEPT: "1" },
      { proxies },
    );
    const metadata =
      "metadata.google.internal,169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";
    const noProxy = `localhost,localhost.localdomain,ip6-localhost,127.0.0.1,127.0.0.0/8,::1,${metadata},a.test,b.test`;
    expect(env).toEqual({
      KEPT: "1",
      HTTP_PROXY: proxies.http,
      HTTPS_PROXY: proxies.http,
      ALL_PROXY: proxies.socks,
      NO_PROXY: noProxy,
      http_proxy: proxies.http,
      https_proxy: proxies.http,
      all_proxy: proxies.socks,
      no_proxy: noProxy,
      NODE_USE_ENV_PROXY: "1",
      QUOTAGUARDSTATIC_URL: proxies.http,
    });
  });

  test("is the agent's own but for what leads names, and for what is hidden", () => {
    const given = { HOLDFAST_URL: "secret", DATABASE_URL: "old", HTTP_PROXY: "kept", EMPTY: undefined };
    const identity = { HOLDFAST_ID_TOKEN: "secret", HOLDFAST_ID_TOKEN_FILE: "/run/token" };
    expect(
      childEnvironment({ ...given, ...identity }, { names: { DATABASE_URL: "new" }, hideUrl: true }),
    ).toEqual({
      DATABASE_URL: "new",
      HTTP_PROXY: "kept",
    });
    expect(childEnvironment({ ...given, ...identity }, {})).toMatchObject({
      HOLDFAST_URL: "secret",
      ...identity,
    });
  });

  test.each([
    [undefined, ["api.bank.com"], []],
    ["*", ["api.bank.com"], ["api.bank.com"]],
    ["bank.com", ["api.bank.com", "mybank.com"], ["api.bank.com"]],
    [".bank.com", ["api.bank.com"], ["api.bank.com"]],
    ["*.vendor.io", ["*.vendor.io"], ["*.vendor.io"]],
    ["x.vendor.io", ["*.vendor.io"], []],
  ])("NO_PROXY=%s keeps of %j %j from the relay", (list, hosts, kept) => {
    expect(keptFromProxies({ NO_PROXY: list }, hosts)).toEqual(kept);
  });
});

describe("signals and exit codes", () => {
  test.each([
    ["SIGTERM", true, true],
    ["SIGHUP", true, true],
    ["SIGINT", true, false],
    ["SIGQUIT", true, false],
    ["SIGWINCH", true, false],
    ["SIGINT", false, true],
    ["SIGWINCH", false, true],
  ])("%s, in the foreground %s: passed on %s", (signal, foreground, expected) => {
    expect(isForwarded(signal, foreground)).toBe(expected);
  });

  test.each([
    ["7 (no terminal) S 1 7 7 0 -1 4194304", false],
    ["7 (in front) S 1 7 7 34816 7 4194304", true],
    ["7 (behind) S 1 7 7 34816 9 4194304", false],
    ["7 (a) b) 1 2) S 1 7 7 34816 7 4194304", true],
  ])("%s", (stat, expected) => {
    expect(isForegroundStat(stat)).toBe(expected);
  });

  test("are those that shells use", () => {
    expect(exitCodeOf({ code: 3, signal: null })).toBe(3);
    expect(exitCodeOf({ code: null, signal: "SIGTERM" })).toBe(143);
    expect(exitCodeOf({ code: null, signal: "SIGKILL" })).toBe(137);
    const codes = ["ENOENT", "EACCES", "ENOEXEC", "EMFILE"].map((code) =>
      startFailureCode(Object.assign(new Error(code), { code })),
    );
    expect(codes).toEqual([127, 126, 126, 125]);
  });
});

describe("where a connection goes", () => {
  const open = createRouter({
    relay: () => Promise.reject(new Error("relay")),
    direct: () => Promise.reject(new Error("direct")),
    hosts: ["api.bank.com", "*.vendor.io"],
    destinations: [{ host: "db.example.com", port: 5432 }],
  });
  test.each([
    ["api.bank.com", 443, "relay"],
    ["api.bank.com", 8443, "relay"],
    ["eu.vendor.io", 80, "relay"],
    ["vendor.io", 80, "direct"],
    ["db.example.com", 5432, "relay"],
    ["db.example.com", 443, "direct"],
    ["evil-api.bank.com", 443, "direct"],
  ])("%s:%i: %s", async (host, port, way) => {
    await expect(open({ host, port })).rejects.toThrow(way);
  });
});

describe("a patient opener", () => {
  const failing = (...codes: ErrorCode[]) => {
    const calls: ErrorCode[] = [];
    const open = patientOpener(
      () => {
        const code = codes.shift() ?? "dns_failed";
        calls.push(code);
        return Promise.reject(new RelayError(code, "so"));
      },
      { patienceMs: 5_000, random: () => 0 },
    );
    return { calls, open };
  };

  test("tries again what may pass, and nothing else", async () => {
    const { calls, open } = failing("edge_unreachable", "no_node", "connect_refused", "dns_failed");
    await expect(open({ host: "a.test", port: 1 })).rejects.toMatchObject({ code: "connect_refused" });
    expect(calls).toEqual(["edge_unreachable", "no_node", "connect_refused"]);
  });

  test("gives up with the caller", async () => {
    const { calls, open } = failing("edge_unreachable", "edge_unreachable");
    const signal = AbortSignal.abort();
    await expect(open({ host: "a.test", port: 1, signal })).rejects.toMatchObject({
      code: "edge_unreachable",
    });
    expect(calls).toHaveLength(1);
  });
});

describe("the doctor's findings", () => {
  const list: EgressList = {
    issuer: "https://edge.example.com",
    addresses: [
      { address: "203.0.113.10", family: "ipv4", node: "node-1", since: "2026-01-01" },
      { address: "2001:db8::10", family: "ipv6", node: "node-1", since: "2026-01-01" },
      { address: "203.0.113.20", family: "ipv4", node: "node-2", since: "2026-01-01" },
    ],
    planned: [],
    nodes: [],
  };
  const seen = (node: string, egress: string): Probe => ({ node, egress, ms: 12.4 });
  const failed = (node: string, code: ErrorCode, by?: string): Probe => ({
    node,
    error: new RelayError(code, "so", by === undefined ? {} : { node: by }),
  });

  test.each([
    [undefined, true, "not compared: the edge's answer has no Date"],
    [0.4, true, "within 0 s of the edge's"],
    [-5.4, true, "within 5 s of the edge's"],
    [90, false, "90 s ahead of the edge's"],
    [-61, false, "61 s behind the edge's"],
  ])("a clock that is off by %s s", (offset, ok, text) => {
    expect(clockFinding(offset)).toMatchObject({ ok, text });
  });

  test.each<[told: SeenPath, line: string]>([
    [{ path: SEEN_PATH, isCloudflare: false }, "✓ relay URLs: paths arrive as they are sent"],
    [
      { path: SEEN_PATH, isCloudflare: true },
      "✓ relay URLs: paths arrive as they are sent; keep the worker's invocation logs off, which hold whole URLs",
    ],
    [
      { path: "/seen/~holdfast/x", isCloudflare: true },
      `! relay URLs: paths are rewritten before they come to the edge: ${SEEN_PATH} arrived as /seen/~holdfast/x; keep the worker's invocation logs off, which hold whole URLs. Turn off "Normalize incoming URLs" in the zone, under Rules > Settings, or their targets see other paths.`,
    ],
    [
      { path: "/seen/~holdfast//x", isCloudflare: false },
      `! relay URLs: paths are rewritten before they come to the edge: ${SEEN_PATH} arrived as /seen/~holdfast//x. Have the proxy before the edge pass paths on as they come, or their targets see other paths.`,
    ],
    [
      { path: undefined, isCloudflare: true },
      "✓ relay URLs: not looked at: this edge doesn't tell how URLs arrive",
    ],
  ])("paths: %j", (told, line) => {
    const finding = urlsFinding(told);
    expect([finding.ok, findingLine(finding)]).toEqual([true, line]);
  });

  test.each<[status: number, body: unknown, path: string | undefined]>([
    [200, { path: "/seen/x" }, "/seen/x"],
    [200, { path: 5 }, undefined],
    [200, null, undefined],
    [404, { path: "/seen/x" }, undefined],
  ])("an edge that answers %i %j saw %s", async (status, body, path) => {
    expect(await readSeen(Response.json(body, { status }))).toEqual({ path, isCloudflare: false });
    const headers = { "CF-Ray": "x" };
    expect(await readSeen(Response.json(body, { status, headers }))).toEqual({ path, isCloudflare: true });
  });

  test.each<[string, Probe[], boolean, string]>([
    ["untried", [], true, "not tried, as no destination is named"],
    ["serving", [seen("node-1", "203.0.113.10")], true, "in service"],
    ["with a target that is down", [failed("node-1", "connect_refused")], true, "in service"],
    ["that answers in its own name", [failed("node-1", "node_internal", "node-1")], true, "in service"],
    ["of another pool", [failed("node-1", "node_unknown")], true, "not in this client's pool"],
    ["that is out of service", [failed("node-1", "no_node")], false, "no_node: so"],
  ])("a node %s", (_, probes, ok, text) => {
    const finding = nodeFinding("node-1", list, probes);
    expect(finding.ok).toBe(ok);
    expect(finding.text).toContain(text);
  });

  test.each<[string, Probe[], string[], boolean, string]>([
    [
      "seen from published addresses",
      [seen("node-1", "203.0.113.10"), seen("node-2", "203.0.113.20")],
      [],
      true,
      "by node-1 from 203.0.113.10 in 12 ms, by node-2 from 203.0.113.20 in 12 ms",
    ],
    [
      "seen as expected",
      [seen("node-1", "2001:db8::10")],
      ["2001:DB8:0::10"],
      true,
      "by node-1 from 2001:db8::10",
    ],
    [
      "seen from elsewhere",
      [seen("node-1", "203.0.113.10"), seen("node-2", "203.0.113.20")],
      ["203.0.113.10"],
      false,
      "seen from 203.0.113.20, and not from 203.0.113.10",
    ],
    [
      "seen from an address of no list",
      [seen("node-1", "192.0.2.1")],
      [],
      false,
      "192.0.2.1, which is not published",
    ],
    [
      "seen from another node's address",
      [seen("node-1", "203.0.113.20")],
      [],
      false,
      "which is not published",
    ],
    [
      "refused",
      [seen("node-1", "203.0.113.10"), failed("node-2", "target_not_allowed")],
      [],
      false,
      "by node-2: target_not_allowed",
    ],
    [
      "of a client with one node",
      [seen("node-1", "203.0.113.10"), failed("node-2", "node_unknown")],
      [],
      true,
      "by node-1",
    ],
    ["that no node takes", [failed("node-1", "node_unknown")], [], false, "no node took it"],
  ])("a destination %s", (_, probes, expected, ok, text) => {
    const finding = destinationFinding("db.example.com:5432", list, probes, expected);
    expect(finding.ok).toBe(ok);
    expect(finding.text).toContain(text);
    expect(finding.mend === undefined).toBe(ok);
  });

  test("an address that was expected has to be seen", () => {
    expect(expectationFinding([], [])).toBeUndefined();
    expect(expectationFinding(["203.0.113.10"], [seen("node-1", "203.0.113.10")])).toBeUndefined();
    expect(expectationFinding(["203.0.113.10"], [failed("node-1", "dns_failed")])?.ok).toBe(false);
    expect(expectationFinding(["203.0.113.10"], [])?.ok).toBe(false);
  });

  test("are one line each", () => {
    expect(findingLine({ check: "edge", ok: true, text: "there" })).toBe("✓ edge: there");
    expect(findingLine({ check: "edge", ok: false, text: "gone", mend: "Look." })).toBe(
      "✗ edge: gone. Look.",
    );
  });
});

test("a cause is told in one line", () => {
  const openssl = new Error("write EPROTO wrong version number:../record.c:78:\n");
  expect(rootCause(new Error("fetch failed", { cause: openssl }))).toBe(
    "write EPROTO wrong version number:../record.c:78:",
  );
});
