import {
  CHORES_EVERY_MS,
  DEAD_DAYS,
  DELIVERED_DAYS,
  RELAY_BACKOFF_MAX_MS,
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

/** What a store has to do besides delivering. */
export class Chores {
  readonly #parts: EngineParts;
  /** When it looks next for what has been kept long enough, and for outcomes that are to be told. */
  #retentionAt = 0;
  #tellingAt = 0;
  /** It looks so seldom that many attempts per second don't pay for it. */
  #notBefore = 0;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** Does what is due, a bounded part of it. */
  async run(owner: DeliveryOwner | undefined): Promise<void> {
    const { store, transaction } = this.#parts;
    const now = this.#parts.now();
    if (now < this.#notBefore) return;
    this.#notBefore = now + CHORES_EVERY_MS;
    transaction(() => {
      for (
        let upload = store.bodies.oldestUpload();
        upload !== undefined;
        upload = store.bodies.oldestUpload()
      ) {
        if (upload.began + STAGED_MS > now) break;
        store.bodies.abandon(upload.id);
      }
      goOnSweeping(store, now);
      if (now >= this.#retentionAt) {
        // Without the registry's word on how long that is, nothing goes.
        if (owner === undefined) this.#retentionAt = now + RELAY_BACKOFF_MAX_MS;
        else this.#retire(owner, now);
      }
    });
    if (now >= this.#tellingAt) await this.#tell();
  }

  /** When there is something to do; undefined where nothing is. */
  next(owner: DeliveryOwner | undefined): number | undefined {
    return this.#parts.transaction(() => this.#nextOf(owner));
  }

  #nextOf(owner: DeliveryOwner | undefined): number | undefined {
    const { store } = this.#parts;
    const times = [store.sweeps.next()?.due];
    const upload = store.bodies.oldestUpload();
    if (upload !== undefined) times.push(upload.began + STAGED_MS);
    if (store.events.owing(1).length > 0) times.push(this.#tellingAt);
    for (const state of ["delivered", "dead"] as const) {
      const ended = store.events.firstEnded(state);
      if (ended !== undefined) times.push(Math.max(this.#retentionAt, ended + keptMs(owner, state)));
    }
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.max(this.#notBefore, Math.min(...known));
  }

  #retire(owner: DeliveryOwner, now: number): void {
    const { store } = this.#parts;
    const old = (["delivered", "dead"] as const).flatMap((state) =>
      store.events.endedBefore(state, now - keptMs(owner, state), RETENTION_BATCH),
    );
    let bytes = 0;
    let gone = 0;
    for (const row of old) {
      // Its outcome is told first.
      if (row.owes === 1) continue;
      removeEvent(store, row, now);
      gone++;
      bytes += row.weight;
      if (bytes > RETENTION_BATCH_BYTES) break;
    }
    const hasMore = gone > 0 && (gone < old.length || old.length >= RETENTION_BATCH);
    this.#retentionAt = hasMore ? now + 1_000 : now + RETENTION_LOOK_MS;
  }

  /** Stores the callbacks of what has ended: each with the word that it is made, in one transaction. */
  async #tell(): Promise<void> {
    const { store, transaction } = this.#parts;
    for (const row of store.events.owing(TOLD_AT_ONCE)) {
      try {
        const made = await this.#callback(row);
        transaction(() => {
          const current = store.events.get(row.seq);
          if (current?.owes !== 1) return;
          store.events.change(current, { owes: 0 });
          if (made === null) return;
          acceptEvent(store, made.event, made.body, { now: this.#parts.now(), route: undefined });
        });
      } catch (error) {
        console.error(`deliveries: the callback of ${row.id} can't be made yet`, error);
        this.#tellingAt = this.#parts.now() + RELAY_BACKOFF_MAX_MS;
        return;
      }
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
