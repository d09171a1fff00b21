import { TokenBucket } from "../../../protocol/token-bucket.ts";
import {
  ALARM_LATE_MS,
  ALARM_MAX_MS,
  ATTEMPT_LOST_MS,
  ATTEMPTS_AT_ONCE,
  DELIVERIES_PER_SECOND,
  DELIVERY_LINGER_MS,
  DELIVERY_RUN_MS,
  ENGINE_RETRY_MS,
  PAUSED_LOOK_MS,
  RELAY_BACKOFF_MAX_MS,
} from "../../limits.ts";
import type { AttemptResult } from "../attempt-result.ts";
import type { NewEvent } from "../event.ts";
import type { RouteRecord } from "../../routes.ts";
import type { DeliveryOwner } from "../owner.ts";
import { STORES_PER_OWNER } from "../places.ts";
import type { Store } from "../store/store.ts";
import { type Attempt, attemptAt, make, underWay } from "./attempt.ts";
import { type Backoff, NO_BACKOFF, nextBackoff } from "./backoff.ts";
import { Chores } from "./chores.ts";
import type { Notice } from "./notice.ts";
import { OwnerFacts } from "./owner-facts.ts";
import type { EngineParts } from "./parts.ts";
import { settle, settleInterrupted, type Settled } from "./settle.ts";
import { Signal } from "./signal.ts";
import { nextMoment, takeDue } from "./take.ts";

/** Owns when what is tried. It is woken by one alarm, works for a while, and sets the next one. */
export class Engine {
  readonly #parts: EngineParts;
  readonly #store: Store;
  readonly #signal = new Signal();
  readonly #flights = new Map<number, Attempt>();
  readonly #results: { readonly attempt: Attempt; readonly result: AttemptResult }[] = [];
  readonly facts: OwnerFacts;
  readonly #chores: Chores;
  readonly #bucket: TokenBucket;
  #backoff: Backoff = NO_BACKOFF;
  /** Nothing is sent before: those for whom it would be are not there. */
  #heldUntil = 0;
  #isRunning = false;
  #alarmAt = Infinity;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#store = parts.store;
    this.facts = new OwnerFacts((owner) => parts.owner(owner));
    this.#chores = new Chores(parts);
    this.#bucket = new TokenBucket(rateOf(undefined), parts.now());
    try {
      this.#tell(parts.transaction(() => settleInterrupted(this.#store, parts.now())));
    } catch (error) {
      // A store that can't be begun would never deliver anything.
      console.error("deliveries: what was under way can't be looked at", error);
    }
  }

  /**
   * The route that an event is of, as it was last heard of: what is accepted depends on no other object, but for the first time.
   */
  async route({ kind, owner }: Pick<NewEvent, "kind" | "owner">): Promise<RouteRecord | undefined> {
    if (kind !== "hook") return undefined;
    if (this.facts.latest === undefined) {
      await this.facts.get(this.#parts.now(), owner).catch(() => undefined);
    }
    return this.facts.latest?.route?.record;
  }

  /**
   * Sees to it that the alarm comes in time for what there is to do now. To be called in the transaction that made it.
   * @param made `event` where that is nothing but an event to be sent, for which the store's tables need no look
   */
  async arm(made: "event" | "anything" = "anything"): Promise<void> {
    const now = this.#parts.now();
    if (this.#isRunning) {
      this.#signal.set();
      // Should this run come to nothing, or end before it has looked.
      if (this.#alarmAt === Infinity) await this.#setAlarm(now + 2 * DELIVERY_RUN_MS);
      return;
    }
    // One that is overdue was lost.
    const isLost = now - this.#alarmAt > ALARM_LATE_MS;
    const soonest = made === "event" ? Math.max(now, this.#heldUntil, this.#backoff.until) : now;
    if (!isLost && this.#alarmAt <= soonest) return;
    const next = this.#next();
    if (next !== undefined && (next < this.#alarmAt || isLost)) await this.#setAlarm(next);
  }

  /** Sets the alarm again, where it was lost. */
  async rearm(): Promise<void> {
    if (this.#isRunning) return;
    const at = await this.#parts.alarmAt();
    // One that is overdue may have been lost: a second one does no harm.
    this.#alarmAt = at !== null && at > this.#parts.now() ? at : Infinity;
    await this.arm();
  }

  /**
   * Something of the owner's changed, or of what the engine goes by: it looks anew.
   * @param isMended whether targets that failed are worth another try at once
   */
  async wake(isMended: boolean): Promise<void> {
    this.facts.forget();
    this.#backoff = NO_BACKOFF;
    this.#heldUntil = 0;
    if (isMended) this.#parts.transaction(() => this.#store.breakers.clear());
    await this.rearm();
    this.#signal.set();
  }

  /** The alarm handler. Never throws. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // The one that began this run; the platform repeats it, should the edge end meanwhile.
    this.#alarmAt = Infinity;
    let hasFailed = false;
    try {
      await this.#work(this.#parts.now() + DELIVERY_RUN_MS);
    } catch (error) {
      console.error("deliveries: a run failed", error);
      hasFailed = true;
    }
    this.#isRunning = false;
    try {
      const now = this.#parts.now();
      const next = hasFailed ? now + ENGINE_RETRY_MS : this.#next();
      if (next !== undefined) await this.#setAlarm(next);
    } catch (error) {
      // What comes next sets it again, and so does the sweep of all stores.
      console.error("deliveries: the alarm can't be set", error);
      this.#alarmAt = Infinity;
    }
  }

  async #work(until: number): Promise<void> {
    for (;;) {
      const owner = await this.#owner();
      const isOpen = this.#parts.now() < until;
      await this.#settle();
      if (isOpen) await this.#chores.run(owner);
      if (isOpen && owner !== undefined) await this.#begin(owner);
      if (this.#results.length > 0) continue;
      const now = this.#parts.now();
      const isBusy = this.#flights.size > 0;
      const next = isOpen && this.#free(owner) > 0 ? (this.#next() ?? Infinity) : Infinity;
      if (!isBusy && (!isOpen || next > now + DELIVERY_LINGER_MS)) return;
      // What is to be done besides may wait until the run's end.
      await this.#signal.wait(Math.max(1, isOpen ? Math.min(next, until) - now : ATTEMPT_LOST_MS));
    }
  }

  /** The owner, where something may be sent for it now. Without the registry's word nothing is. */
  async #owner(): Promise<DeliveryOwner | undefined> {
    const now = this.#parts.now();
    const id = this.#store.totals.owner();
    // Nothing would be sent.
    if (id === null || now < this.#backoff.until) return undefined;
    try {
      const owner = await this.facts.get(now, id);
      this.#bucket.resize(rateOf(owner), now);
      return owner;
    } catch (error) {
      console.error("deliveries: the registry did not answer", error);
      this.#backoff = nextBackoff(this.#backoff, { started: now, now, retryAfter: null });
      return undefined;
    }
  }

  /** Writes down what came of attempts, all of them at once. */
  async #settle(): Promise<void> {
    const now = this.#parts.now();
    const ended = [...this.#results];
    if (ended.length === 0) return;
    const over = new Set(ended.map(({ attempt }) => attempt.seq));
    const left = [...this.#flights.values()].filter(({ seq }) => !over.has(seq));
    const judgements = this.#parts.transaction(() => {
      this.#store.totals.setUnderWay(left.map((attempt) => underWay(attempt)));
      return ended.map(({ attempt, result }) => {
        const { schedule } = attempt;
        return settle(this.#store, attempt, result, { now, random: this.#parts.random(), schedule });
      });
    });
    // Not before that is certain.
    this.#results.splice(0, ended.length);
    for (const seq of over) this.#flights.delete(seq);
    for (const [i, { attempt, result }] of ended.entries()) await this.#heed(judgements[i], attempt, result);
  }

  async #heed(judgement: Settled | undefined, { started }: Attempt, result: AttemptResult): Promise<void> {
    if (judgement === undefined) return;
    this.#tell(judgement.notices);
    const now = this.#parts.now();
    if (judgement.relay === "good") {
      this.#backoff = NO_BACKOFF;
    } else if (judgement.relay === "fault") {
      const retryAfter = result.kind === "relay" ? result.retryAfter : null;
      this.#backoff = nextBackoff(this.#backoff, { started, now, retryAfter });
    } else {
      this.facts.forget();
      this.#heldUntil = now + RELAY_BACKOFF_MAX_MS;
    }
    if (judgement.pause === null) return;
    const owner = this.#store.totals.owner()!;
    this.#tell([{ decision: "deliveries_paused", reason: judgement.pause }]);
    await this.#parts
      .pauseOwner(owner, judgement.pause, now)
      .catch((error: unknown) => console.error(`deliveries: ${owner} can't be paused`, error));
    this.facts.forget();
  }

  #tell(notices: readonly Notice[]): void {
    const owner = notices.length === 0 ? null : this.#store.totals.owner();
    for (const notice of notices) this.#parts.tell({ ...notice, owner });
  }

  /** Sends what may be sent now, once it is kept for good that it is. */
  async #begin(owner: DeliveryOwner): Promise<void> {
    const now = this.#parts.now();
    if (!this.facts.isCurrent(owner)) {
      // It changed meanwhile, and might be held by what is over.
      this.#signal.set();
      return;
    }
    if (owner.pause !== null || !owner.isThere) {
      this.#heldUntil = now + PAUSED_LOOK_MS;
      return;
    }
    const flights = [...this.#flights.values()];
    const room = this.#room(owner, now);
    if (room <= 0) return;
    const begun = this.#parts.transaction(() => {
      const attempts = takeDue(this.#store, flights, room, now).map((row) =>
        attemptAt(row, now, owner.route?.record),
      );
      if (attempts.length > 0) {
        this.#store.totals.setUnderWay([...flights, ...attempts].map((attempt) => underWay(attempt)));
      }
      return attempts;
    });
    if (begun.length === 0) return;
    this.#bucket.spend(begun.length, now);
    await this.#parts.sync();
    for (const attempt of begun) {
      this.#flights.set(attempt.seq, attempt);
      void make(attempt, this.#parts).then((result) => {
        this.#results.push({ attempt, result });
        this.#signal.set();
      });
    }
  }

  /** How many more attempts may begin. */
  #room(owner: DeliveryOwner, now: number): number {
    if (now < this.#heldUntil || now < this.#backoff.until) return 0;
    return Math.min(this.#free(owner), Math.floor(this.#bucket.level(now)));
  }

  /** How many there may be besides those that are under way. */
  #free(owner: DeliveryOwner | undefined): number {
    const concurrent = owner?.route?.record.limits?.concurrent ?? Infinity;
    const most = Math.min(ATTEMPTS_AT_ONCE, Math.max(1, Math.ceil(concurrent / STORES_PER_OWNER)));
    // Whether the relay is back one finds out for all.
    return (this.#backoff.faults > 0 ? 1 : most) - this.#flights.size;
  }

  /** When there is something to do next. */
  #next(): number | undefined {
    // Its many looks are one for SQLite.
    return this.#parts.transaction(() => this.#nextOf(this.#parts.now()));
  }

  #nextOf(now: number): number | undefined {
    const times: number[] = [];
    const mayGo = Math.max(this.#heldUntil, this.#backoff.until, now + this.#bucket.waitMs(1, now));
    // What is due already waits for an attempt to end only where nothing else keeps it.
    const after = this.#flights.size === 0 || mayGo > now ? -Infinity : now;
    const moment = nextMoment(this.#store, after, now);
    if (moment !== undefined) times.push(Math.max(moment, mayGo));
    const chore = this.#chores.next(this.facts.latest);
    if (chore !== undefined) times.push(chore);
    // An alarm set for the very moment of the one that runs is lost, as workerd has it.
    return times.length === 0 ? undefined : Math.max(now + 1, Math.min(...times));
  }

  /** Sets the alarm, for a time that every clock knows: a rate of next to nothing is waited for without end. */
  async #setAlarm(time: number): Promise<void> {
    const at = Math.ceil(Math.min(time, this.#parts.now() + ALARM_MAX_MS));
    this.#alarmAt = at;
    try {
      await this.#parts.setAlarm(at);
    } catch (error) {
      this.#alarmAt = Infinity;
      throw error;
    }
  }
}

function rateOf(owner: DeliveryOwner | undefined): { rate: number; burst: number } {
  const perSecond = owner?.route?.record.limits?.deliveriesPerSecond ?? DELIVERIES_PER_SECOND;
  const rate = perSecond / STORES_PER_OWNER;
  return { rate, burst: Math.max(1, Math.min(rate, ATTEMPTS_AT_ONCE)) };
}
