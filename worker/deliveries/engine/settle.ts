import type { DeliveryAttempt } from "../../../protocol/deliveries.ts";
import { ATTEMPTS_KEPT, INTERRUPTIONS_MAX, INTERRUPTIONS_SUSPECT } from "../../limits.ts";
import type { AttemptResult } from "../attempt-result.ts";
import { attemptsOf, begun, type EventRow, queueOf } from "../store/event-row.ts";
import type { EventChange } from "../store/events-table.ts";
import type { Store } from "../store/store.ts";
import type { UnderWay } from "../store/totals-table.ts";
import { backoffMs } from "./backoff.ts";
import { nextBreaker } from "./breaker.ts";
import { endEvent } from "./change-state.ts";
import { breakerNotice, deadNotice, type Notice } from "./notice.ts";
import { type Circumstances, judge, type Judgement } from "./judge.ts";

/** What of an attempt is told. */
function attemptOf(attempt: UnderWay, ended: number, result: AttemptResult): DeliveryAttempt {
  const base = { ...begun(attempt), ended };
  switch (result.kind) {
    case "answered":
      return {
        ...base,
        result: "answered",
        status: result.answer.status,
        node: result.node,
        egress: result.egress,
      };
    case "failed":
    case "relay": {
      const { kind, code, detail, node, egress } = result;
      return { ...base, result: kind, code, detail, node, egress };
    }
    case "held":
      return { ...base, result: "relay", detail: result.reason };
    case "unreadable":
      return { ...base, result: "failed", detail: result.detail };
  }
}

function withAttempt(row: EventRow, attempt: DeliveryAttempt): string {
  return JSON.stringify([...attemptsOf(row), attempt].slice(-ATTEMPTS_KEPT));
}

/** What is kept of an event's attempts counts, too: of one that failed often it may be more than all else. */
function toldBytes({ attempts, answer }: Pick<EventRow, "attempts" | "answer">): number {
  return attempts.length + (answer?.length ?? 0);
}

/** What an attempt came to, and what of that is told. */
export interface Settled extends Judgement {
  readonly notices: readonly Notice[];
}

/**
 * Writes down what came of an attempt, and what becomes of its event. To be called in a transaction.
 * @returns undefined where the event is not there any more
 */
export function settle(
  store: Store,
  attempt: UnderWay,
  result: AttemptResult,
  circumstances: Circumstances,
): Settled | undefined {
  const row = store.events.get(attempt.seq);
  if (row === undefined) return undefined;
  const { now } = circumstances;
  const judgement = judge(row, result, circumstances);
  const answer = result.kind === "answered" ? JSON.stringify(result.answer) : row.answer;
  const attempts = withAttempt(row, attemptOf(attempt, now, result));
  const change: EventChange = {
    attempts,
    answer,
    weight: row.weight + toldBytes({ attempts, answer }) - toldBytes(row),
    tries: attempt.n,
    spent: row.spent + Number(judgement.spends),
    interruptions: 0,
    faults: judgement.relay === "fault" ? row.faults + 1 : 0,
  };
  const { fate } = judgement;
  const notices: Notice[] = [];
  if (row.state === "pending") {
    if (fate.state === "pending") {
      // One that was skipped and replayed meanwhile waits for its turn.
      const moment = row.moment === null ? null : fate.due;
      const next = store.events.change(row, { ...change, moment, reason: fate.reason });
      if (next.weight !== row.weight) store.totals.move("pending", "pending", next.weight - row.weight);
    } else {
      const reason = fate.state === "dead" ? fate.reason : null;
      endEvent(store, row, { state: fate.state, reason }, now, change);
      if (reason !== null) notices.push(deadNotice(row, reason));
    }
  } else if (row.state === "dead" && fate.state === "delivered") {
    // It was skipped while it was under way.
    endEvent(store, row, { state: "delivered", reason: null }, now, change);
  }
  if (judgement.target !== null) {
    const queue = queueOf(row);
    const before = store.breakers.get(queue);
    const after = nextBreaker(before, judgement.target, now);
    if (before !== after) store.breakers.set(queue, after);
    const notice = breakerNotice(queue, before, after);
    if (notice !== undefined) notices.push(notice);
  }
  return { ...judgement, notices };
}

/**
 * What was under way when the edge ended is interrupted: it goes again at once, unless it was so too often in a row. To be called
 * in a transaction, before anything is begun.
 *
 * One that may be what ends the edge waits longer each time. First in turn after each start, it would be under way again whenever
 * the edge ends soon, whatever ends it, and be given up for nothing; and others would have no turn.
 */
export function settleInterrupted(store: Store, now: number): readonly Notice[] {
  const underWay = store.totals.underWay();
  const notices: Notice[] = [];
  if (underWay.length === 0) return notices;
  for (const attempt of underWay) {
    const row = store.events.get(attempt.seq);
    if (row?.state !== "pending") continue;
    const told = { ...begun(attempt), result: "interrupted" } as const;
    const interruptions = row.interruptions + 1;
    const change: EventChange = {
      attempts: withAttempt(row, told),
      tries: attempt.n,
      interruptions,
      ...(interruptions >= INTERRUPTIONS_SUSPECT &&
        row.moment !== null && {
          moment: now + backoffMs(interruptions - INTERRUPTIONS_SUSPECT + 1),
        }),
    };
    if (interruptions < INTERRUPTIONS_MAX) {
      store.events.change(row, change);
    } else {
      const reason = `the edge ended in the middle of ${interruptions} attempts in a row`;
      endEvent(store, row, { state: "dead", reason }, now, change);
      notices.push(deadNotice(row, reason));
    }
  }
  store.totals.setUnderWay([]);
  return notices;
}
