import {
  CHORES_EVERY_MS,
  DEAD_DAYS,
  DELIVERED_DAYS,
  RELAY_BACKOFF_MAX_MS,
  RELAY_BACKOFF_MS,
  RETENTION_BATCH,
  RETENTION_BATCH_BYTES,
  RETENTION_LOOK_MS,
  STAGED_MS,
} from "../../limits.ts";
import type { DeliveryOwner } from "../owner.ts";
import type { EventRow } from "../store/event-row.ts";
import { acceptEvent } from "./accept.ts";
import { removeEvent } from "./change-state.ts";
import type { EngineParts } from "./parts.ts";
import { storedEvent } from "./stored-event.ts";
import { goOnSweeping } from "./sweep.ts";

const DAY_MS = 86_400_000;

/** Outcomes that are told in one go. */
const TOLD_AT_ONCE = 20;

/** After so long those come again that could not be told. */
const CALLBACK_RETRY_MS = 300_000;

/** What a store has to do besides delivering. */
export class Chores {
  readonly #parts: EngineParts;
  /** When it looks next after each of them. */
  readonly #at = { uploads: 0, sweeps: 0, retention: 0, outcomes: 0 };
  /** The number of the event whose outcome was looked at last, of those that are to be told. */
  #toldBehind = 0;
  /** It looks so seldom that many attempts per second don't pay for it. */
  #notBefore = 0;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** Does what is due, a bounded part of it. */
  async run(owner: DeliveryOwner | undefined): Promise<void> {
    const { store } = this.#parts;
    const now = this.#parts.now();
    if (now < this.#notBefore) return;
    this.#notBefore = now + CHORES_EVERY_MS;
    this.#do("uploads", now, () => this.#sweepUploads(now));
    this.#do("sweeps", now, () => goOnSweeping(store, now));
    this.#do("retention", now, () => {
      // Without the registry's word on how long that is, nothing goes.
      if (owner === undefined) this.#at.retention = now + RELAY_BACKOFF_MAX_MS;
      else this.#retire(owner, now);
    });
    if (now >= this.#at.outcomes) await this.#tell();
  }

  /** When there is something to do; undefined where nothing is. */
  next(owner: DeliveryOwner | undefined): number | undefined {
    return this.#parts.transaction(() => this.#nextOf(owner));
  }

  #nextOf(owner: DeliveryOwner | undefined): number | undefined {
    const { store } = this.#parts;
    const times: number[] = [];
    const sweep = store.sweeps.next();
    if (sweep !== undefined) times.push(Math.max(this.#at.sweeps, sweep.due));
    const upload = store.bodies.oldestUpload();
    if (upload !== undefined) times.push(Math.max(this.#at.uploads, upload.began + STAGED_MS));
    if (store.events.owing(0, 1).length > 0) times.push(this.#at.outcomes);
    for (const state of ["delivered", "dead"] as const) {
      const ended = store.events.firstEnded(state);
      if (ended !== undefined) times.push(Math.max(this.#at.retention, ended + keptMs(owner, state)));
    }
    return times.length === 0 ? undefined : Math.max(this.#notBefore, Math.min(...times));
  }

  /** Does one of them, where it is time. One that fails must keep neither the others nor what is to be delivered. */
  #do(chore: "uploads" | "sweeps" | "retention", now: number, work: () => void): void {
    if (now < this.#at[chore]) return;
    try {
      this.#parts.transaction(work);
    } catch (error) {
      console.error(`deliveries: the ${chore} can't be looked after`, error);
      this.#at[chore] = now + RELAY_BACKOFF_MAX_MS;
    }
  }

  /** Forgets what was staged and not committed. */
  #sweepUploads(now: number): void {
    const { bodies } = this.#parts.store;
    for (let upload = bodies.oldestUpload(); upload !== undefined; upload = bodies.oldestUpload()) {
      if (upload.began + STAGED_MS > now) return;
      bodies.abandon(upload.id);
    }
  }

  #retire(owner: DeliveryOwner, now: number): void {
    const { store } = this.#parts;
    const old = (["delivered", "dead"] as const).flatMap((state) =>
      store.events.endedBefore(state, now - keptMs(owner, state), RETENTION_BATCH),
    );
    let bytes = 0;
    let gone = 0;
    for (const row of old) {
      removeEvent(store, row, now);
      gone++;
      bytes += row.weight;
      if (bytes > RETENTION_BATCH_BYTES) break;
    }
    const hasMore = gone > 0 && (gone < old.length || old.length >= RETENTION_BATCH);
    this.#at.retention = hasMore ? now + 1_000 : now + RETENTION_LOOK_MS;
  }

  /** Stores the callbacks of what has ended. One that can't be made yet comes again after all others. */
  async #tell(): Promise<void> {
    const rows = this.#parts.store.events.owing(this.#toldBehind, TOLD_AT_ONCE);
    let hasFailed = false;
    for (const row of rows) hasFailed = !(await this.#tellOne(row)) || hasFailed;
    const isEnd = rows.length < TOLD_AT_ONCE;
    this.#toldBehind = isEnd ? 0 : rows.at(-1)!.seq;
    const hasLeft = isEnd && this.#parts.store.events.owing(0, 1).length > 0;
    const wait = hasLeft ? CALLBACK_RETRY_MS : hasFailed ? RELAY_BACKOFF_MS : 0;
    this.#at.outcomes = this.#parts.now() + wait;
  }

  /** Stores a callback with the word that it is made, in one transaction; false where that can't be done yet. */
  async #tellOne(row: EventRow): Promise<boolean> {
    const { store, transaction } = this.#parts;
    try {
      const made = await this.#callback(row);
      transaction(() => {
        const current = store.events.get(row.seq);
        if (current?.owes !== 1) return;
        store.events.change(current, { owes: 0 });
        if (made === null) return;
        acceptEvent(store, made.event, made.body, { now: this.#parts.now(), route: undefined });
      });
      return true;
    } catch (error) {
      console.error(`deliveries: the callback of ${row.id} can't be made yet`, error);
      return false;
    }
  }

  async #callback(row: EventRow) {
    const event = storedEvent(this.#parts.store, row, row.tries);
    if (event === undefined || row.state === "pending") return null;
    const detail = this.#parts.store.detail(row);
    return this.#parts.makeCallback(event, detail);
  }
}

function keptMs(owner: DeliveryOwner | undefined, state: "delivered" | "dead"): number {
  const retention = owner?.route?.record.retention;
  const days =
    state === "delivered" ? (retention?.deliveredDays ?? DELIVERED_DAYS) : (retention?.deadDays ?? DEAD_DAYS);
  return days * DAY_MS;
}
