import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { adminCall } from "../../client/admin.ts";
import { type Stack, startStack } from "../../dev/stack.ts";
import type { DeliveryCounts } from "../../protocol/deliveries.ts";
import { countsOf } from "../../test/chaos/hooks/stack.ts";
import { type CountingTarget, startCountingTarget } from "../../test/support/counting-target.ts";
import { addClient } from "../../test/support/operator-calls.ts";
import { freePort } from "../../test/support/stack.ts";
import { workerModule } from "../made-once.ts";
import { cpuMs } from "../machine.ts";
import { LOOK_MS, NO_LIMIT, PATIENCE_MS } from "./limits.ts";

const CLIENT = "bench";
const NODES = ["node-1", "node-2"];

/** What was computed for something, in milliseconds. */
export interface Cpu {
  readonly workerd: number;
  readonly nodes: number;
}

/** The relay that is measured: the worker in workerd with its storage on disk, two nodes, a target that takes all at once. */
export class BenchRelay {
  readonly stack: Stack;
  readonly target: CountingTarget;
  /** What providers sign with. */
  readonly secret = `whsec_${randomBytes(24).toString("base64")}`;

  private constructor(stack: Stack, target: CountingTarget) {
    this.stack = stack;
    this.target = target;
  }

  static async start(dir: string): Promise<BenchRelay> {
    const [edgePort, targetPort, one, two] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const stack = await startStack({
      dir,
      edgePort,
      targetPort,
      nodes: [
        { id: NODES[0]!, port: one, egress: "127.0.0.2" },
        { id: NODES[1]!, port: two, egress: "127.0.0.3" },
      ],
      workerModule: await workerModule(),
      nodeConfig: { drainSeconds: 0 },
    });
    const { cert, key } = stack.keys;
    const target = await startCountingTarget({ tls: { cert, key } });
    await addClient(stack.operator, CLIENT, {
      allow: [`https://localhost:${target.port}`],
      limits: { requestsPerSecond: NO_LIMIT, concurrent: NO_LIMIT },
    });
    return new BenchRelay(stack, target);
  }

  async stop(): Promise<void> {
    await this.stack.stop();
    await this.target.close();
  }

  /** Makes a route: proven, known by the provider's id, and signed anew, as most are. */
  async addRoute(id: string): Promise<void> {
    const body = {
      id,
      client: CLIENT,
      target: `https://localhost:${this.target.port}/${id}`,
      verifier: { type: "standard-webhooks", secrets: [this.secret] },
      sign: { secrets: [this.secret] },
      limits: {
        requestsPerSecond: NO_LIMIT,
        deliveriesPerSecond: NO_LIMIT,
        pending: 10 * NO_LIMIT,
      },
    };
    await this.#admin("PUT", `/admin/routes/${id}`, body);
  }

  async pause(route: string): Promise<void> {
    await this.#admin("POST", `/admin/deliveries/route:${route}/pause`, { reason: "measured" });
  }

  async resume(route: string): Promise<void> {
    await this.#admin("POST", `/admin/deliveries/route:${route}/resume`);
  }

  /** One page of the list; `query` begins with `?`. */
  async list(route: string, query: string): Promise<number> {
    const { value } = await adminCall(this.stack.operator, "GET", `/admin/deliveries/route:${route}${query}`);
    return (value as { deliveries: unknown[] }).deliveries.length;
  }

  counts(route: string): Promise<DeliveryCounts> {
    return countsOf(this.stack, route);
  }

  /** Resolves when nothing of a route is pending. */
  async untilDrained(route: string): Promise<void> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const { pending, dead } = await this.counts(route);
      if (dead > 0) throw new Error(`${dead} deliveries of ${route} are dead`);
      if (pending === 0) return;
      if (Date.now() > until) throw new Error(`${pending} of ${route} are still pending`);
      await sleep(LOOK_MS);
    }
  }

  /** Does something to the edge's files while it is down. */
  async whileDown(work: () => Promise<void>): Promise<void> {
    const edge = this.stack.process("edge");
    const gone = once(edge, "exit");
    edge.kill("SIGKILL");
    await gone;
    await work();
    await this.stack.startEdge();
  }

  cpu(): Cpu {
    const of = (id: string) => cpuMs(this.stack.process(id).pid!);
    return { workerd: of("edge"), nodes: NODES.reduce((sum, id) => sum + of(id), 0) };
  }

  async #admin(method: "PUT" | "POST", path: string, body: unknown = {}): Promise<void> {
    await adminCall(this.stack.operator, method, path, { body });
  }
}

/** What was computed since, for each of so many. */
export function cpuEach(relay: BenchRelay, before: Cpu, count: number): Cpu {
  const { workerd, nodes } = relay.cpu();
  return { workerd: (workerd - before.workerd) / count, nodes: (nodes - before.nodes) / count };
}
