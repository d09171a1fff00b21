import type { ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import pino from "pino";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { REVOCATIONS_PAGE_MAX } from "../../../protocol/limits.ts";
import { newRequestId } from "../../../protocol/tokens.ts";
import type { EdgeClient } from "../../../relay-node/edge-client.ts";
import { RevocationMetrics } from "../../../relay-node/revocations/metrics.ts";
import { RevocationPoller } from "../../../relay-node/revocations/poller.ts";
import { Revocations } from "../../../relay-node/revocations/revocations.ts";
import { answerPage, type AskedEdge, startAskedEdge } from "../../support/asked-edge.ts";
import { eventually } from "../../support/node-log.ts";
import { revocation, SOURCE } from "../../support/revocations.ts";

/** A node that asks an edge of the test's own what was revoked, every 50 ms. */

let edge: AskedEdge;
let client: EdgeClient;
let poller: RevocationPoller;
let revocations: Revocations;
let registry: Registry;
let lines: { readonly level: number; readonly msg: string; readonly cause?: string }[];
/** The streams that were ended, by the `cred` of their grants. */
let ended: string[];

beforeAll(async () => {
  edge = await startAskedEdge();
});
afterAll(() => edge.away());
beforeEach(() => {
  edge.revoked.length = 0;
  edge.askedAfter.length = 0;
  edge.answerRevocations = undefined;
  lines = [];
  ended = [];
  begin();
});
afterEach(async () => {
  await poller.close();
  await client.close();
});

/** A node that has just started. */
function begin(answerMs?: number): void {
  client = edge.newClient(answerMs);
  registry = new Registry();
  revocations = new Revocations();
  poller = new RevocationPoller({
    client,
    revocations,
    metrics: new RevocationMetrics(registry),
    log: pino(
      { level: "debug" },
      { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
    ),
    intervalMs: 50,
  });
}

async function beginAnew(answerMs?: number): Promise<void> {
  await client.close();
  begin(answerMs);
}

/** A stream under a handle of its own, and what revokes that. */
function stream() {
  const cred = newRequestId();
  const grant = { ...SOURCE, cred, iat: Math.floor(Date.now() / 1_000) };
  revocations.watch(grant, "stream", () => ended.push(cred));
  return { cred, revoke: () => void edge.revoked.push(revocation("handle", cred)) };
}

const untilEnded = (...creds: readonly string[]) =>
  eventually(async () => creds.every((cred) => ended.includes(cred)), "the streams have ended");
const rounds = async (count: number) => {
  const until = edge.askedAfter.length + count;
  await eventually(async () => edge.askedAfter.length >= until, "the edge was asked again");
};
const warnings = () => lines.filter(({ level }) => level === 40).map(({ msg, cause }) => [msg, cause]);
const told = (msg: string) => lines.filter((line) => line.msg === msg);
const metric = async (name: string) =>
  (await registry.metrics())
    .split("\n")
    .find((line) => line.startsWith(`${name} `))
    ?.split(" ")[1];

test("what is revoked ends within the next round, what is not goes on", async () => {
  const [first, second] = [stream(), stream()];
  const early = stream();
  early.revoke();
  poller.start();
  await untilEnded(early.cred);
  first.revoke();
  await untilEnded(first.cred);
  await rounds(2);
  expect(ended).toEqual([early.cred, first.cred]);
  expect(warnings()).toEqual([]);
  second.revoke();
  await untilEnded(second.cred);
  expect(told("revocations applied")).toHaveLength(3);
  expect(await metric('holdfast_revocations_total{kind="handle"}')).toBe("3");
  expect(await metric('holdfast_revocation_ends_total{what="stream"}')).toBe("3");
});

test("each round asks on after the last one, over a connection that is kept", async () => {
  const connections = edge.connections();
  poller.start();
  await rounds(2);
  const { seq } = revocation("client", "other");
  edge.revoked.push({ seq, at: 1, kind: "client", client: "other", id: "other" });
  await eventually(async () => edge.askedAfter.at(-1) === String(seq), "it goes on after the entry");
  expect(edge.askedAfter.slice(0, 2)).toEqual([null, "0"]);
  expect(edge.connections()).toBe(connections + 1);
});

test("pages are read one after the other, without waiting", async () => {
  const streams = Array.from({ length: REVOCATIONS_PAGE_MAX * 2 + 1 }, () => stream());
  for (const { revoke } of streams) revoke();
  poller.start();
  await untilEnded(...[streams[0]!, streams.at(-1)!].map(({ cred }) => cred));
  await eventually(async () => ended.length === streams.length, "all have ended");
  const seqs = edge.revoked.map(({ seq }) => String(seq));
  expect(edge.askedAfter.slice(0, 3)).toEqual([
    null,
    seqs[REVOCATIONS_PAGE_MAX - 1],
    seqs[REVOCATIONS_PAGE_MAX * 2 - 1],
  ]);
});

describe("an edge that", () => {
  test("is away is asked on, with one word of it, and then tells what was missed", async () => {
    const missed = stream();
    poller.start();
    await rounds(1);
    await edge.away();
    try {
      await eventually(async () => warnings().length > 0, "it is missed");
      missed.revoke();
      await pause(300);
      expect(ended).toEqual([]);
      expect(Number(await metric("holdfast_revocations_age_seconds"))).toBeGreaterThan(0.3);
    } finally {
      await edge.listen();
    }
    await untilEnded(missed.cred);
    await eventually(async () => told("revocations read again").length === 1, "it is told");
    expect(warnings()).toHaveLength(1);
    expect(Number(await metric("holdfast_revocations_age_seconds"))).toBeLessThan(0.3);
  });

  test("is away when the node starts is waited for", async () => {
    const { cred, revoke } = stream();
    await edge.away();
    try {
      poller.start();
      await eventually(async () => warnings().length > 0, "it is missed");
      revoke();
    } finally {
      await edge.listen();
    }
    await untilEnded(cred);
    expect(edge.askedAfter[0]).toBe(null);
  });

  test("counts anew is asked for what it tells then", async () => {
    const { cred } = stream();
    poller.start();
    edge.revoked.push({ ...revocation("client", "other", { client: "other" }), seq: 1_000_000 });
    await eventually(async () => edge.askedAfter.at(-1) === "1000000", "it goes on after the entry");
    edge.revoked.length = 0;
    edge.answerRevocations = (response) => answerPage(response, edge.revoked, null);
    await rounds(2);
    edge.revoked.push({ ...revocation("handle", cred), seq: 1 });
    await untilEnded(cred);
    expect(warnings()).toEqual([]);
  });

  const sends =
    (text: string, status = 200) =>
    (response: ServerResponse) =>
      void response.writeHead(status, { "Content-Type": "application/json" }).end(text);
  const good = revocation("handle", newRequestId());

  test.each<[what: string, cause: string, answer: (response: ServerResponse) => void]>([
    ["answers no JSON", "answer_invalid", sends("{")],
    ["answers something else", "answer_invalid", sends('{"grants":[]}')],
    [
      "has an entry that can't be read",
      "answer_invalid",
      sends(JSON.stringify({ next: good.seq, entries: [good, { ...good, seq: good.seq + 1, id: "" }] })),
    ],
    ["talks too much", "answer_too_long", sends(" ".repeat(600_000))],
    ["is hidden by another's page", "status 502", sends("<h1>502</h1>", 502)],
    ["does not know the node", "node_unproven", refuses("node_unproven")],
    ["breaks off", "UND_ERR_SOCKET", (response) => void response.destroy()],
  ])("%s changes nothing, and is asked again: %s", async (_what, cause, answer) => {
    const { cred, revoke } = stream();
    const spared = { ...SOURCE, cred: good.id, iat: 0 };
    revocations.watch(spared, "stream", () => ended.push("spared"));
    poller.start();
    await rounds(1);
    edge.answerRevocations = answer;
    revoke();
    await rounds(3);
    expect(warnings()).toEqual([["revocations not read", cause]]);
    expect([ended, revocations.sizes.remembered]).toEqual([[], 0]);
    edge.answerRevocations = undefined;
    await untilEnded(cred);
    expect(ended).toEqual([cred]);
  });

  test("doesn't answer is given up, and asked again", async () => {
    await beginAnew(200);
    const { cred, revoke } = stream();
    edge.answerRevocations = () => {};
    poller.start();
    await eventually(async () => warnings().length > 0, "it is given up");
    expect(warnings()).toEqual([["revocations not read", "TimeoutError"]]);
    revoke();
    edge.answerRevocations = undefined;
    await untilEnded(cred);
  });

  test("revokes what this version doesn't know is heard for the rest", async () => {
    const { cred, revoke } = stream();
    revoke();
    edge.answerRevocations = (response) => {
      const [known] = edge.revoked;
      const unknown = { ...known, seq: known!.seq + 1, kind: "issuer" };
      sends(JSON.stringify({ next: unknown.seq, entries: [known, unknown] }))(response);
    };
    poller.start();
    await untilEnded(cred);
    expect(warnings()[0]).toEqual(["revocations of a kind that this version does not know", undefined]);
  });
});

function refuses(code: string) {
  return (response: ServerResponse) => void response.writeHead(403, { "Relay-Error": code }).end();
}
