import { DurableObject } from "cloudflare:workers";
import { parseEdgeConfig } from "./config.ts";
import {
  type Complaint,
  newHealth,
  nextHealth,
  type NodeHealth,
  type NodeView,
  type Sign,
} from "./health.ts";
import { ALARM_LATE_MS, PROBE_IDLE_MS, PROBE_TIMES, PROBES_AT_ONCE } from "./limits.ts";
import { probe } from "./probe.ts";

/**
 * The nodes' health as all isolates share it: one object that probes the nodes on a schedule and hears what isolates see, so
 * that a new isolate starts informed and a node that one of them found broken gets no traffic from any.
 *
 * Its alarm handler never throws: after seven times the platform would not call it again.
 */
export class Health extends DurableObject<object> {
  readonly #nodes = new Map<string, NodeHealth>();
  #alarmAt = Infinity;
  #askedAt = Date.now();

  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    const { sql } = state.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS health (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT");
    const now = Date.now();
    for (const { id, record } of sql.exec<{ id: string; record: string }>("SELECT id, record FROM health")) {
      const { up, epoch, since, reason, gone } = JSON.parse(record) as NodeHealth;
      this.#nodes.set(id, { ...newHealth(now), up, epoch, since, reason, gone });
    }
  }

  /** Hears complaints and tells how all nodes are. */
  async exchange(complaints: readonly Complaint[]): Promise<NodeView[]> {
    const now = Date.now();
    this.#askedAt = now;
    const nodes = this.#configured(now);
    for (const { id, epoch, reason, gone } of complaints) {
      if (nodes.some((node) => node.id === id)) {
        this.#learn(id, { kind: "complaint", fault: { reason, gone }, epoch }, now);
      }
    }
    await this.#arm();
    return nodes.map(({ id }) => {
      const { up, epoch, reason, gone } = this.#nodes.get(id)!;
      return { id, up, epoch, reason, gone };
    });
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = Infinity;
    try {
      const now = Date.now();
      const due = this.#configured(now).filter(({ id }) => this.#nodes.get(id)!.probeAt <= now);
      const lane = async () => {
        for (let node = due.shift(); node !== undefined; node = due.shift()) {
          const fault = await probe(node);
          this.#learn(node.id, fault === undefined ? { kind: "good" } : { kind: "bad", fault }, Date.now());
        }
      };
      await Promise.all(Array.from({ length: PROBES_AT_ONCE }, lane));
    } catch (error) {
      console.error(error);
    }
    await this.#arm().catch((error: unknown) => console.error(error));
  }

  #configured(now: number) {
    const { nodes } = parseEdgeConfig(this.env as Record<string, unknown>);
    for (const { id } of nodes) if (!this.#nodes.has(id)) this.#nodes.set(id, newHealth(now));
    return nodes;
  }

  #learn(id: string, sign: Sign, now: number): void {
    const before = this.#nodes.get(id)!;
    const after = nextHealth(before, sign, now, PROBE_TIMES);
    this.#nodes.set(id, after);
    if (before.up === after.up) return;
    console.log(`node ${id} is ${after.up ? "up" : `down: ${after.reason}`}`);
    this.ctx.storage.sql.exec(
      "INSERT INTO health VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
      id,
      JSON.stringify(after),
    );
  }

  /** Sees to the next probe; without anybody who asks there is none. */
  async #arm(): Promise<void> {
    const now = Date.now();
    if (now - this.#askedAt > PROBE_IDLE_MS) return;
    // Not the nodes of an earlier configuration, which are remembered and never probed: they would always be due.
    const due = this.#configured(now).map(({ id }) => this.#nodes.get(id)!.probeAt);
    // An alarm set for the very moment of the one that runs is lost, as workerd has it; and one that is overdue was lost.
    const next = Math.max(now + 1, Math.min(...due));
    if (next >= this.#alarmAt && now - this.#alarmAt < ALARM_LATE_MS) return;
    this.#alarmAt = next;
    try {
      await this.ctx.storage.setAlarm(next);
    } catch (error) {
      this.#alarmAt = Infinity;
      throw error;
    }
  }
}
