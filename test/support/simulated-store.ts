import { vi } from "vitest";
import type { Accepted, DeliveryCounts, DeliveryDetail } from "../../protocol/deliveries.ts";
import type { AttemptResult, StoredBody } from "../../worker/deliveries/attempt-result.ts";
import { acceptEvent, type Refusal } from "../../worker/deliveries/engine/accept.ts";
import { Engine } from "../../worker/deliveries/engine/engine.ts";
import type { EngineParts } from "../../worker/deliveries/engine/parts.ts";
import type { NewEvent, StoredEvent } from "../../worker/deliveries/event.ts";
import type { DeliveryOwner } from "../../worker/deliveries/owner.ts";
import type { EventRow } from "../../worker/deliveries/store/event-row.ts";
import { Store } from "../../worker/deliveries/store/store.ts";
import { newDeliveryId } from "../../worker/deliveries/places.ts";
import { sqliteDatabase } from "./sqlite-storage.ts";

/** An answer of the target's. */
export const answered = (status: number, retryAfter: number | null = null): AttemptResult => ({
  kind: "answered",
  answer: { status, body: "", isCut: false },
  retryAfter,
  node: "node-1",
  egress: "127.0.0.2",
});

/** A fault of the relay's own. */
export const relayFault = (code = "no_node"): AttemptResult => ({
  kind: "relay",
  code,
  detail: "none is up",
  retryAfter: null,
  node: null,
  egress: null,
});

/** An event with what a test doesn't care about. */
export function newEvent(change: Partial<NewEvent> = {}): NewEvent {
  const owner = change.owner ?? "route:stripe";
  return {
    id: newDeliveryId({ owner, index: 0 }),
    owner,
    kind: "hook",
    client: "shop",
    method: "POST",
    origin: null,
    request: "sealed",
    digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    size: 0,
    dedupe: null,
    likeness: null,
    lane: null,
    schedule: null,
    callback: null,
    ...change,
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A store's engine over a database of Node's, under vitest's simulated clock: the alarm is a timer, and a crash forgets everything
 * but the database and the alarm's time.
 */
export class SimulatedStore {
  readonly #database = sqliteDatabase();
  store = new Store(this.#database.sql);
  engine: Engine;
  /** What was sent, in this order. */
  readonly sent: { readonly event: StoredEvent; readonly at: number }[] = [];
  deliver: (event: StoredEvent, body: StoredBody) => AttemptResult | Promise<AttemptResult> = () =>
    answered(200);
  owner: DeliveryOwner | Error = { route: null, isThere: true, pause: null };
  readonly pauses: string[] = [];
  /** Lines of the edge's log. */
  readonly lines: Parameters<EngineParts["tell"]>[0][] = [];
  readonly told: { readonly event: StoredEvent; readonly state: string }[] = [];
  /** What the engine is given; what a test changes of it holds from then on. */
  readonly parts: Writable<Omit<EngineParts, "store">>;
  #alarm: { readonly at: number; readonly timer: ReturnType<typeof setTimeout> } | undefined;
  #life = 0;

  constructor(other: Partial<EngineParts> = {}) {
    this.parts = { ...this.#usual(), ...other };
    this.engine = this.#start();
  }

  get alarmAt(): number | undefined {
    return this.#alarm?.at;
  }

  /** The edge ends and begins anew; what was under way comes to nothing. */
  crash(): void {
    this.#life++;
    this.store = new Store(this.#database.sql);
    this.engine = this.#start();
    void this.engine.rearm();
  }

  /** The alarm is lost, as no platform should lose it. */
  loseAlarm(): void {
    clearTimeout(this.#alarm?.timer);
    this.#alarm = undefined;
  }

  async accept(event: NewEvent, body = new Uint8Array()): Promise<Accepted | Refusal> {
    const route = await this.engine.route(event);
    return this.change(() => acceptEvent(this.store, event, body, { now: Date.now(), route }), "event");
  }

  /** As the object does it. */
  async change<T>(change: () => T, made?: Parameters<Engine["arm"]>[0]): Promise<T> {
    let armed: Promise<void> | undefined;
    const result = this.#database.transaction(() => {
      const changed = change();
      armed = this.engine.arm(made);
      return changed;
    });
    await armed;
    return result;
  }

  counts(): DeliveryCounts {
    return this.store.totals.counts();
  }

  detail(id: string): DeliveryDetail {
    return this.store.detail(this.store.events.byId(id)!);
  }

  /** All events, the latest first. */
  rows(): EventRow[] {
    return this.store.lists.latest({}, null, 1_000_000);
  }

  #start(): Engine {
    const { parts } = this;
    const life = this.#life;
    return new Engine({
      ...parts,
      store: this.store,
      setAlarm: (at) => parts.setAlarm(at),
      // Nor does its run go on when an attempt's time is over.
      owner: (owner) => (life === this.#life ? parts.owner(owner) : new Promise(() => {})),
      deliver: this.#delivering(life),
    });
  }

  /** One that ended hears of nothing. */
  #delivering(life: number): EngineParts["deliver"] {
    return async (event, body) => {
      this.sent.push({ event, at: Date.now() });
      const result = await this.deliver(event, body);
      return life === this.#life ? result : new Promise(() => {});
    };
  }

  #usual(): Omit<EngineParts, "store"> {
    return {
      transaction: this.#database.transaction,
      now: () => Date.now(),
      random: () => 0.5,
      alarmAt: async () => this.#alarm?.at ?? null,
      setAlarm: async (at) => this.#setAlarm(at),
      sync: async () => {},
      tell: (line) => this.lines.push(line),
      deliver: this.#delivering(this.#life),
      makeCallback: async (event, { state }) => {
        this.told.push({ event, state });
        return null;
      },
      owner: async () => {
        if (this.owner instanceof Error) throw this.owner;
        return this.owner;
      },
      pauseOwner: async (_owner, reason, at) => {
        this.pauses.push(reason);
        this.owner = { route: null, isThere: true, pause: { at, by: null, reason } };
      },
    };
  }

  #setAlarm(at: number): void {
    clearTimeout(this.#alarm?.timer);
    const rings = () => {
      this.#alarm = undefined;
      void this.engine.run();
    };
    // A timer takes no longer delay: it would ring at once.
    const wait = Math.min(Math.max(0, at - Date.now()), 2 ** 31 - 1);
    const timer = setTimeout(() => (at > Date.now() ? this.#setAlarm(at) : rings()), wait);
    this.#alarm = { at, timer };
  }
}

/** Lets simulated time go by. */
export async function passes(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
