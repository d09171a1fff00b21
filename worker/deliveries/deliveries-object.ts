import { DurableObject } from "cloudflare:workers";
import type { Accepted, DeliveryCounts, DeliveryDetail, DeliveryRow } from "../../protocol/deliveries.ts";
import { RelayError } from "../../protocol/errors.ts";
import { parseEdgeConfig } from "../config.ts";
import { Edge, type Env, registryOf } from "../edge.ts";
import { SWEEP_RATE_MAX } from "../limits.ts";
import { acceptEvent, type Refusal } from "./engine/accept.ts";
import { endEvent, removeEvent } from "./engine/change-state.ts";
import { Engine } from "./engine/engine.ts";
import { replayEvent } from "./engine/sweep.ts";
import type { NewEvent } from "./event.ts";
import type { DeliveryFilter, Sweep } from "./filter.ts";
import { callbackBy } from "./callback.ts";
import { deliverBy } from "./send.ts";
import { type Before } from "./store/lists.ts";
import { listed } from "./store/event-row.ts";
import { Store } from "./store/store.ts";
import { placeOfId } from "./places.ts";

export type { DeliveryFilter, Refusal, Sweep };

/**
 * One of an owner's stores: what was accepted, and the engine that delivers it, woken by one alarm.
 *
 * Its alarm handler never throws: after seven times the platform would not call it again.
 */
export class Deliveries extends DurableObject<Env> {
  readonly #store: Store;
  readonly #engine: Engine;
  #edge: Edge | undefined;
  /** Whether the registry knows of this store. */
  #isNoted: boolean;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { storage } = state;
    this.#store = new Store(storage.sql);
    this.#isNoted = this.#store.totals.get().noted === 1;
    this.#engine = new Engine({
      store: this.#store,
      transaction: (work) => storage.transactionSync(work),
      now: () => Date.now(),
      random: () => Math.random(),
      tell: (line) => console.log(JSON.stringify(line)),
      alarmAt: () => storage.getAlarm(),
      setAlarm: (at) => storage.setAlarm(at),
      sync: () => storage.sync(),
      // What is misconfigured throws with each attempt, not here.
      deliver: (event, body) => deliverBy(this.#edgeHere(), env)(event, body),
      makeCallback: (ended, detail) => callbackBy(this.#edgeHere())(ended, detail),
      owner: async (owner) => registryOf(env).deliveryOwner(owner),
      pauseOwner: async (owner, reason, at) => registryOf(env).pauseOwner(owner, reason, at),
    });
    const report = (error: unknown) => console.error("deliveries: the alarm can't be set", error);
    void state.blockConcurrencyWhile(() => this.#engine.rearm().catch(report));
  }

  override async alarm(): Promise<void> {
    await this.#engine.run();
  }

  /** Stores an event with its whole body. */
  async accept(event: NewEvent, body: Uint8Array<ArrayBuffer>): Promise<Accepted | Refusal> {
    return this.#accept(event, body);
  }

  /**
   * Stores a piece of a body whose event is not known to be good yet: nothing of it counts before `commit`, and without that it
   * is swept.
   *
   * @param n counts the pieces from 0; each but the last has DELIVERY_CHUNK_BYTES
   * @returns whether there was room
   */
  async stage(id: string, n: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    return this.#change(() => this.#store.bodies.stage(id, n, bytes, Date.now()));
  }

  /** Stores an event whose body was staged under its id. */
  async commit(event: NewEvent): Promise<Accepted | Refusal> {
    return this.#accept(event, null);
  }

  /** Forgets what was staged. */
  async abandon(id: string): Promise<void> {
    await this.#change(() => this.#store.bodies.abandon(id));
  }

  /** Deliveries by the time of their acceptance, the latest first, behind `before`. */
  async list(filter: DeliveryFilter, before: Before | null, limit: number): Promise<DeliveryRow[]> {
    const owner = this.#store.totals.owner();
    if (owner === null) return [];
    const breakers = this.#store.breakers.all();
    const rows = this.#store.lists.latest(filter, before, limit);
    return rows.map((row) => listed(row, owner, breakers.get(row.queue)));
  }

  async show(id: string): Promise<DeliveryDetail | null> {
    const row = this.#store.events.byId(id);
    return row === undefined ? null : this.#store.detail(row);
  }

  async counts(): Promise<DeliveryCounts> {
    return this.#store.totals.counts();
  }

  /** Makes one again that has ended; false where there is none of this id. One that is pending is tried at once. */
  async replay(id: string): Promise<boolean> {
    return this.#change(() => {
      const row = this.#store.events.byId(id);
      if (row === undefined) return false;
      replayEvent(this.#store, row, Date.now(), { hurry: true });
      return true;
    });
  }

  /** Removes one for good; false where there is none of this id. */
  async purge(id: string): Promise<boolean> {
    return this.#change(() => {
      const row = this.#store.events.byId(id);
      if (row === undefined) return false;
      removeEvent(this.#store, row, Date.now());
      return true;
    });
  }

  /** Gives up the first one of a lane, so that those behind it go on; its id, or null where the lane is empty. */
  async skip(lane: string): Promise<string | null> {
    return this.#change(() => {
      const row = this.#store.events.laneTurn(lane);
      if (row === undefined) return null;
      endEvent(this.#store, row, { state: "dead", reason: "skipped by an operator" }, Date.now());
      return row.id;
    });
  }

  /** Begins to replay or purge many; the sweep goes on by itself. */
  async sweep({ act, filter, rate }: Sweep): Promise<void> {
    await this.#change(() => {
      const { seq } = this.#store.totals.get();
      this.#store.sweeps.add({ act, filter, rate: Math.min(rate, SWEEP_RATE_MAX) }, seq, Date.now());
    });
  }

  /**
   * Something of the owner's changed: what is remembered of it is forgotten, and what is due goes on.
   * @param isMended whether targets that failed are worth another try at once
   */
  async wake(isMended: boolean): Promise<void> {
    // With the clients and routes that it remembers: that one is not there, too.
    this.#edge = undefined;
    await this.#engine.wake(isMended);
  }

  /** Sets the alarm again, where it was lost. */
  async rearm(): Promise<void> {
    await this.#engine.rearm();
  }

  async #accept(event: NewEvent, body: Uint8Array<ArrayBuffer> | null): Promise<Accepted | Refusal> {
    await this.#note(event);
    const route = await this.#engine.route(event);
    return this.#change(() => acceptEvent(this.#store, event, body, { now: Date.now(), route }), "event");
  }

  /** The registry hears of a store before its first event is acknowledged: nobody would look for it if it lost its alarm. */
  async #note({ owner, id }: NewEvent): Promise<void> {
    if (this.#isNoted) return;
    const place = placeOfId(owner, id);
    if (place === undefined) throw new RelayError("edge_internal", `${id} is no id of a delivery`);
    await registryOf(this.env).noteStore(owner, place.index);
    this.#store.totals.note();
    this.#isNoted = true;
  }

  /** A change and the alarm that it needs are kept together, or neither is. */
  async #change<T>(change: () => T, made?: Parameters<Engine["arm"]>[0]): Promise<T> {
    let armed: Promise<void> | undefined;
    const result = this.ctx.storage.transactionSync(() => {
      const changed = change();
      armed = this.#engine.arm(made);
      return changed;
    });
    await armed;
    return result;
  }

  #edgeHere(): Edge {
    return (this.#edge ??= new Edge(parseEdgeConfig(this.env as unknown as Record<string, unknown>)));
  }
}
