import { DurableObject } from "cloudflare:workers";
import { parseEdgeConfig } from "./config.ts";
import { type Fault, newHealth, nextHealth, type NodeHealth, type Sign } from "./health.ts";
import { PROBE_IDLE_MS, PROBE_TIMES } from "./limits.ts";
import { probe } from "./probe.ts";

/** What isolates are told of a node. */
export interface NodeView {
  readonly id: string;
  readonly up: boolean;
  readonly epoch: number;
  readonly reason: string | undefined;
  readonly gone: boolean;
}

/** What an isolate saw of a node. */
export interface Complaint extends Fault {
  readonly id: string;
  /** How often the node had come back when it failed, as far as the isolate knew. */
  readonly epoch: number | undefined;
}

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
      await Promise.all(
        due.map(async (node) => {
          const fault = await probe(node);
          this.#learn(node.id, fault === undefined ? { kind: "good" } : { kind: "bad", fault }, Date.now());
        }),
      );
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
    const next = Math.max(now, Math.min(...Array.from(this.#nodes.values(), ({ probeAt }) => probeAt)));
    if (!Number.isFinite(next) || next >= this.#alarmAt) return;
    this.#alarmAt = next;
    await this.ctx.storage.setAlarm(next);
  }
}
