import { setTimeout as sleep } from "node:timers/promises";
import { WIRE } from "../../protocol/headers.ts";
import { requestToken } from "../support/raw-caller.ts";
import { EDGE_ORIGIN, POOL, TARGET_ORIGIN } from "./hosts.ts";
import { tally } from "./ledger.ts";
import { REPLAY_AFTER_MS, SPREAD_DEADLINE_MS } from "./limits.ts";
import type { ChaosStack } from "./stack.ts";
import type { SupervisedNode } from "../support/supervised-node.ts";
import type { Watch } from "./watch.ts";

/** What became of the tokens of one state. */
export interface ReplayRow {
  readonly state: string;
  readonly node: string;
  readonly tokens: number;
  /** How the replays were answered, counted by the relay's code, or by status where it was no failure. */
  readonly answers: Readonly<Record<string, number>>;
  /** Tokens whose request came to the target more than once. */
  readonly doubled: number;
}

/** Tokens a state and node; half of them, more or less, are the node's own. */
const TOKENS = 12;

const REPLAY_TRIES = 3;

/** What is done to the node that took a token before the token is used again. */
const STATES: Readonly<
  Record<
    string,
    (node: SupervisedNode, other: SupervisedNode, untilEven: () => Promise<unknown>) => Promise<void> | void
  >
> = {
  serving: () => {},
  dead: (node) => node.remove("SIGKILL"),
  restarted: async (node) => {
    node.end("SIGKILL", 0);
    await node.serving();
  },
  drained: (node) => node.end("SIGTERM"),
  "dead, its peer just restarted": async (node, other, untilEven) => {
    other.end("SIGKILL", 0);
    await other.serving();
    // Before that it may not have proven its address, and there would be no node at all.
    await untilEven();
    await node.remove("SIGKILL");
  },
};

/** A quick run has those that take no restart. */
const QUICK_STATES: ReadonlySet<string> = new Set(["serving", "dead"]);

/** Uses tokens, changes the state of a node, and uses them again; for each state and each node. */
export async function replayTokens(stack: ChaosStack, watch: Watch, quick: boolean): Promise<ReplayRow[]> {
  const rows: ReplayRow[] = [];
  const [first, second] = POOL.map(({ id }) => stack.nodes.get(id)!);
  const turns = [
    [first!, second!],
    [second!, first!],
  ] as const;
  for (const [state, change] of Object.entries(STATES)) {
    if (quick && !QUICK_STATES.has(state)) continue;
    for (const [node, other] of quick ? turns.slice(0, 1) : turns) {
      const changed = () => change(node, other, () => evenly(watch));
      rows.push(await replay(state, changed, node, stack, watch));
    }
  }
  return rows;
}

/** Waits until both nodes take their share. */
function evenly(watch: Watch): Promise<unknown> {
  return watch.untilEven(
    POOL.map(({ id }) => id),
    SPREAD_DEADLINE_MS,
  );
}

async function replay(
  state: string,
  change: () => Promise<void> | void,
  node: SupervisedNode,
  { poolUrl }: ChaosStack,
  watch: Watch,
): Promise<ReplayRow> {
  const ids = Array.from({ length: TOKENS }, () => `replayed-${crypto.randomUUID()}`);
  const uses = await Promise.all(
    ids.map(async (id) => {
      const url = `${TARGET_ORIGIN}/${id}`;
      const token = await requestToken(poolUrl, { htm: "POST", url });
      return { token, by: (await use(token)).node };
    }),
  );
  await sleep(REPLAY_AFTER_MS);
  await change();
  const own = uses.filter(({ by }) => by === node.place.id);
  const answers = await Promise.all(own.map(({ token }) => useAgain(token)));
  if (state.startsWith("dead")) node.start();
  await node.serving();
  await evenly(watch);
  const arrived = Map.groupBy(watch.arrivals, ({ id }) => id);
  return {
    state,
    node: node.place.id,
    tokens: own.length,
    answers: tally(answers),
    doubled: ids.filter((id) => (arrived.get(id)?.length ?? 0) > 1).length,
  };
}

/** A node that is just going may be lost in mid-request: that is no verdict on the token, and who has it would try again. */
async function useAgain(token: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    const { answer } = await use(token);
    if (answer !== "node_unreachable" || tries === REPLAY_TRIES) return answer;
  }
}

async function use(token: string): Promise<{ node: string | null; answer: string }> {
  const response = await fetch(`${EDGE_ORIGIN}/fetch`, {
    method: "POST",
    headers: { [WIRE.authorization]: `Bearer ${token}` },
    body: "once",
  });
  await response.arrayBuffer();
  const node = response.headers.get(WIRE.node);
  return { node, answer: response.headers.get(WIRE.error) ?? String(response.status) };
}
