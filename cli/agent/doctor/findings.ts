import type { RelayError } from "../../../client/index.ts";
import { ERRORS } from "../../../protocol/errors.ts";
import type { EgressList } from "../../../protocol/egress-list.ts";
import { canonicalAddress } from "../../../protocol/receipts.ts";
import type { Reach } from "../../../client/node/reach.ts";
import { rootCause } from "../../report.ts";
import { CLOCK_OFFSET_MAX_SECONDS } from "../limits.ts";
import { relayCause } from "../messages.ts";
import type { RelayVerdict } from "../relay-check.ts";

/** What came of one check. */
export interface Finding {
  /** What was looked at: `edge`, `destination db.example.com:5432`. */
  readonly check: string;
  readonly ok: boolean;
  readonly text: string;
  /** What can be done, where something is wrong, or where nothing is but something can be better. */
  readonly mend?: string;
}

/** What came of one stream to a destination by one node. */
export type Probe =
  | { readonly node: string; readonly egress: string; readonly ms: number }
  | { readonly node: string | undefined; readonly error: RelayError };

/** One line, for people. */
export function findingLine({ check, ok, text, mend }: Finding): string {
  const mark = ok ? (mend === undefined ? "✓" : "!") : "✗";
  return `${mark} ${check}: ${text}${mend === undefined ? "" : `. ${mend}`}`;
}

/** A failure of the relay's as a finding. */
export function failed(check: string, error: RelayError): Finding {
  return { check, ok: false, text: relayCause(error), mend: ERRORS[error.code].mend };
}

/** @param offset seconds by which this machine's clock is ahead; undefined where the edge did not tell its own */
export function clockFinding(offset: number | undefined): Finding {
  const check = "clock";
  if (offset === undefined) return { check, ok: true, text: "not compared: the edge's answer has no Date" };
  const size = Math.abs(Math.round(offset));
  if (size <= CLOCK_OFFSET_MAX_SECONDS) return { check, ok: true, text: `within ${size} s of the edge's` };
  return {
    check,
    ok: false,
    text: `${size} s ${offset > 0 ? "ahead of" : "behind"} the edge's`,
    mend: "Let this machine's clock be set by NTP: tokens live for 60 s.",
  };
}

export function tokenFinding(verdict: RelayVerdict): Finding {
  if (verdict.kind !== "accepted") return failed("token", verdict.error);
  return { check: "token", ok: true, text: "the relay takes it" };
}

/**
 * Whether a node serves this client, by what its streams came to. What went wrong at a target does not count against it.
 */
export function nodeFinding(node: string, list: EgressList, probes: readonly Probe[]): Finding {
  const check = `node ${node}`;
  const addresses = list.addresses.filter((entry) => entry.node === node).map((entry) => entry.address);
  const published = `published with ${addresses.join(", ")}`;
  const ok = (more: string): Finding => ({ check, ok: true, text: `${published}${more}` });
  if (probes.length === 0) return ok("; not tried, as no destination is named");
  const isServing = probes.some(
    (probe) => !("error" in probe) || probe.error.node === node || isTargets(probe.error),
  );
  if (isServing) return ok(", in service");
  const { error } = probes.find((probe) => "error" in probe)! as { readonly error: RelayError };
  if (error.code === "node_unknown") return ok("; not in this client's pool");
  return failed(check, error);
}

/** Whether a node answers straight from here. */
export function directFinding(node: string, reach: Reach): Finding {
  const check = `direct way to ${node}`;
  if ("ms" in reach) return { check, ok: true, text: `${reach.url} answers in ${Math.round(reach.ms)} ms` };
  return {
    check,
    ok: false,
    text: `${reach.url} gives no answer (${rootCause(reach.cause)})`,
    mend: "Let this machine connect to it, and trust its certificate's authority; until then connections go by the edge.",
  };
}

/** Whether a destination is reached by every node that serves, and from addresses that are published and expected. */
export function destinationFinding(
  authority: string,
  list: EgressList | undefined,
  probes: readonly Probe[],
  expected: readonly string[],
): Finding {
  const check = `destination ${authority}`;
  const tried = probes.filter((probe) => !("error" in probe && probe.error.code === "node_unknown"));
  const failure = tried.find((probe) => "error" in probe);
  if (failure !== undefined && "error" in failure) {
    const { ok, text, mend } = failed(check, failure.error);
    return {
      check,
      ok,
      text: `${failure.node === undefined ? "" : `by ${failure.node}: `}${text}`,
      ...(mend !== undefined && { mend }),
    };
  }
  const seen = tried.flatMap((probe) => ("error" in probe ? [] : [probe]));
  if (seen.length === 0) return { check, ok: false, text: "no node took it", mend: ERRORS.no_node.mend };
  const text = seen
    .map(({ node, egress, ms }) => `by ${node} from ${egress} in ${Math.round(ms)} ms`)
    .join(", ");
  const unlisted = seen.filter(({ node, egress }) => list !== undefined && !isListed(list, node, egress));
  if (unlisted.length > 0) {
    return {
      check,
      ok: false,
      text: `seen from ${unlisted.map(({ egress }) => egress).join(", ")}, which is not published`,
      mend: "Compare the node's configuration with the edge's list: holdfast ips tells it.",
    };
  }
  const other = seen.filter(({ egress }) => expected.length > 0 && !holds(expected, egress));
  if (other.length > 0) {
    return {
      check,
      ok: false,
      text: `seen from ${other.map(({ egress }) => egress).join(", ")}, and not from ${expected.join(", ")}`,
      mend: "Have the target's allowlist take what holdfast ips tells, and --expect-ip with it.",
    };
  }
  return { check, ok: true, text };
}

/** With `--expect-ip` it is not enough that nothing went wrong: an address has to be seen. */
export function expectationFinding(
  expected: readonly string[],
  probes: readonly Probe[],
): Finding | undefined {
  if (expected.length === 0 || probes.some((probe) => !("error" in probe))) return undefined;
  return {
    check: "address",
    ok: false,
    text: "none was seen",
    mend: "Name a destination that this client may reach by --to: an address shows on a connection alone.",
  };
}

function isListed({ addresses }: EgressList, node: string, egress: string): boolean {
  return addresses.some((entry) => entry.node === node && holds([entry.address], egress));
}

function holds(addresses: readonly string[], address: string): boolean {
  const wanted = canonicalAddress(address);
  return addresses.some((one) => canonicalAddress(one) === wanted);
}

/** Failures that a node met while it served. */
function isTargets({ code }: RelayError): boolean {
  return /^(dns_|connect_|address_refused|target_)/.test(code);
}
