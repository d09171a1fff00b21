import { isRelayError, RelayError } from "../../../client/index.ts";
import { fetchEgressList } from "../../../client/egress-list.ts";
import { reachNode } from "../../../client/node/reach.ts";
import { createSockets } from "../../../client/node/sockets.ts";
import { type ClientSigner, createSigner } from "../../../client/signer.ts";
import type { Via } from "../../../client/node/via.ts";
import type { EgressList } from "../../../protocol/egress-list.ts";
import { authorityOf } from "../destinations.ts";
import { DOCTOR_ANSWER_MS, RELAY_CHECK_MS } from "../limits.ts";
import { checkRelay } from "../relay-check.ts";
import { asRelayError } from "../relay-errors.ts";
import { createOpener } from "../../../client/node/opener.ts";
import {
  clockFinding,
  directFinding,
  destinationFinding,
  expectationFinding,
  failed,
  type Finding,
  nodeFinding,
  type Probe,
  tokenFinding,
} from "./findings.ts";
import { identityFindings } from "./identity.ts";

import { readSeen, SEEN_PATH, type SeenPath, urlsFinding } from "./urls.ts";

/** What is to be looked at. */
export interface Examination {
  readonly relayUrl: string | undefined;
  /** How connections come to nodes: with `direct` it is looked whether they can. */
  readonly via: Via;
  readonly destinations: readonly { readonly host: string; readonly port: number }[];
  /** The addresses that connections may leave from; empty for any that is published. */
  readonly expected: readonly string[];
}

/** Looks at everything between this machine and its destinations; each finding as soon as it is there. */
export async function* examine({
  relayUrl,
  via,
  destinations,
  expected,
}: Examination): AsyncGenerator<Finding> {
  const url = await readUrl(relayUrl);
  yield url.finding;
  if (url.signer === undefined) return;
  const { edge, certificates } = url.signer;
  yield* edgeFindings(edge);
  // Without a certificate there is nothing that the relay could take.
  const canSign = certificates === undefined || (yield* identityFindings(certificates));
  const verdict = canSign ? await checkRelay(createOpener(relayUrl)) : undefined;
  if (verdict !== undefined) yield tokenFinding(verdict);
  const list = await publishedList(edge);
  yield list.finding;
  const nodes = [...new Set((list.list?.addresses ?? []).map(({ node }) => node))];
  // Nobody whom the relay does not take need ask the nodes.
  const isTaken = verdict?.kind === "accepted";
  const probed = isTaken
    ? await Promise.all(destinations.map((destination) => probeAll(relayUrl, destination, nodes)))
    : [];
  if (isTaken && list.list !== undefined) {
    for (const [index, node] of nodes.entries()) {
      yield nodeFinding(
        node,
        list.list,
        probed.map((probes) => probes[index]!),
      );
    }
  }
  if (isTaken && via === "direct") yield* directFindings(relayUrl, destinations[0], nodes);
  for (const [index, probes] of probed.entries()) {
    yield destinationFinding(authorityOf(destinations[index]!), list.list, probes, expected);
  }
  const unseen = expectationFinding(expected, probed.flat());
  if (unseen !== undefined) yield unseen;
}

async function readUrl(relayUrl: string | undefined): Promise<{ finding: Finding; signer?: ClientSigner }> {
  const check = "HOLDFAST_URL";
  try {
    const signer = createSigner(relayUrl);
    const { edge, clientId, certificates } = signer;
    const by = certificates === undefined ? await signer.describe() : "without a private key";
    return { finding: { check, ok: true, text: `client ${clientId} by ${edge}, ${by}` }, signer };
  } catch (error) {
    if (!isRelayError(error)) throw error;
    const mend = "Copy it anew from where the client was registered.";
    return { finding: { check, ok: false, text: error.detail, mend } };
  }
}

async function* edgeFindings(edge: string): AsyncGenerator<Finding> {
  const check = "edge";
  let response: Response;
  const asked = Date.now();
  try {
    const signal = AbortSignal.timeout(DOCTOR_ANSWER_MS);
    response = await fetch(`${edge}/healthz`, { redirect: "manual", signal });
    await response.body?.cancel();
  } catch (cause) {
    const { cause: inner = cause } = cause as Error;
    yield failed(check, new RelayError("edge_unreachable", `${edge} gives no answer`, { cause: inner }));
    return;
  }
  const date = Date.parse(response.headers.get("date") ?? "");
  yield response.status === 200
    ? { check, ok: true, text: `${edge} answers in ${Date.now() - asked} ms` }
    : { check, ok: false, text: `${edge}/healthz answered ${response.status}`, mend: "See the edge's log." };
  // The field has whole seconds: half a one is the best guess.
  yield clockFinding(Number.isNaN(date) ? undefined : ((asked + Date.now()) / 2 - date - 500) / 1_000);
  yield urlsFinding(await seenPath(edge));
}

async function seenPath(edge: string): Promise<SeenPath> {
  try {
    const signal = AbortSignal.timeout(DOCTOR_ANSWER_MS);
    return await readSeen(await fetch(`${edge}${SEEN_PATH}`, { redirect: "manual", signal }));
  } catch {
    // Whether the edge answers at all has been told.
    return { path: undefined, isCloudflare: false };
  }
}

async function publishedList(edge: string): Promise<{ finding: Finding; list?: EgressList }> {
  const check = "published addresses";
  try {
    const list = await fetchEgressList(edge, { signal: AbortSignal.timeout(DOCTOR_ANSWER_MS) });
    const addresses = [...new Set(list.addresses.map(({ address }) => address))];
    return { finding: { check, ok: true, text: addresses.join(", ") }, list };
  } catch (error) {
    return { finding: failed(check, asRelayError(error, "edge_unreachable")) };
  }
}

/** Whether the nodes of the client's pool answer straight from here. */
async function* directFindings(
  relayUrl: string | undefined,
  destination: Examination["destinations"][number] | undefined,
  nodes: readonly string[],
): AsyncGenerator<Finding> {
  if (destination === undefined) {
    yield { check: "direct way", ok: true, text: "not tried, as no destination is named" };
    return;
  }
  for (const node of nodes) {
    try {
      yield directFinding(node, await reachNode(relayUrl, destination, node));
    } catch (error) {
      const failure = asRelayError(error, "edge_unreachable");
      // Of another client's pool.
      if (failure.code !== "node_unknown") yield failed(`direct way to ${node}`, failure);
    }
  }
}

/** A stream by each node; by any where none is known. */
function probeAll(
  relayUrl: string | undefined,
  destination: { readonly host: string; readonly port: number },
  nodes: readonly string[],
): Promise<Probe[]> {
  const asked = nodes.length === 0 ? [undefined] : nodes;
  return Promise.all(asked.map((node) => probe(relayUrl, destination, node)));
}

function probe(
  relayUrl: string | undefined,
  { host, port }: { readonly host: string; readonly port: number },
  node: string | undefined,
): Promise<Probe> {
  const start = performance.now();
  const sockets = createSockets(relayUrl, node === undefined ? {} : { node });
  const socket = sockets.connect({ host, port, signal: AbortSignal.timeout(RELAY_CHECK_MS) });
  return new Promise((resolve) => {
    socket.once("connect", () => {
      resolve({
        node: socket.node ?? node ?? "unknown",
        egress: socket.egress ?? "unknown",
        ms: performance.now() - start,
      });
      socket.resetAndDestroy();
    });
    socket.on("error", (error) => resolve({ node, error: asRelayError(error, "edge_unreachable") }));
  });
}
