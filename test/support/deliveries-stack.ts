import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { adminCall } from "../../client/admin.ts";
import type { DeliveryCounts, DeliveryDetail } from "../../protocol/deliveries.ts";
import { countsOf, untilDrained } from "../chaos/hooks/stack.ts";
import { signed } from "../chaos/hooks/standard-webhooks.ts";
import { type CountingTarget, startCountingTarget } from "./counting-target.ts";
import { addClient } from "./operator-calls.ts";
import { testStack } from "./stack.ts";

type TestStack = Awaited<ReturnType<typeof testStack>>;

/** What came to the target, and when. */
export interface Came {
  readonly id: string;
  readonly at: number;
}

/** A stack with a target behind it, and routes that providers call. */
export interface DeliveriesStack {
  readonly stack: TestStack;
  readonly came: readonly Came[];
  /** Makes a route that is proven by Standard Webhooks. */
  addRoute(id: string, more?: object): Promise<void>;
  /** Calls a route as a provider does, with an event of this id. */
  call(route: string, id: string, fields?: Record<string, string>): Promise<{ status: number; id: string }>;
  counts(route: string): Promise<DeliveryCounts>;
  show(route: string, delivery: string): Promise<DeliveryDetail>;
  /** Resolves when nothing is pending; whether that came in time. */
  drained(route: string, deadlineMs?: number): Promise<boolean>;
  /** Resolves when the target had so many, or with those that it had when the time was over. */
  arrived(count: number, deadlineMs?: number): Promise<readonly Came[]>;
  killEdge(): Promise<void>;
  stop(): Promise<void>;
}

const PATIENCE_MS = 15_000;

/** @param answer what the target says to an event that has come whole; 200 by default */
export async function deliveriesStack(
  answer: (id: string, response: ServerResponse) => void = (_, response) => response.end("ok"),
): Promise<DeliveriesStack> {
  const stack = await testStack();
  const came: Came[] = [];
  const secret = `whsec_${randomBytes(24).toString("base64")}`;
  const { cert, key } = stack.keys;
  const target: CountingTarget = await startCountingTarget({
    tls: { cert, key },
    answer: ({ headers }: IncomingMessage, response) => {
      const id = String(headers["x-event-id"]);
      came.push({ id, at: Date.now() });
      answer(id, response);
    },
  });
  const origin = `https://localhost:${target.port}`;
  await addClient(stack.operator, "deliveries", { allow: [origin] });
  return {
    stack,
    came,
    async addRoute(id, more = {}) {
      const verifier = { type: "standard-webhooks", secrets: [secret] };
      const body = { id, client: "deliveries", target: `${origin}/${id}`, verifier, ...more };
      await adminCall(stack.operator, "PUT", `/admin/routes/${id}`, { body });
    },
    async call(route, id, fields = {}) {
      const body = Buffer.from(JSON.stringify({ id }));
      const response = await fetch(`${stack.edge}/hooks/${route}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "X-Event-Id": id,
          ...fields,
          ...signed(secret, id, body),
        },
        body,
      });
      const { id: delivery } = (await response.json()) as { id: string };
      return { status: response.status, id: delivery };
    },
    counts: (route) => countsOf(stack, route),
    async show(route, delivery) {
      const path = `/admin/deliveries/route:${route}/${delivery}`;
      return (await adminCall(stack.operator, "GET", path)).value as DeliveryDetail;
    },
    drained: async (route, deadlineMs = PATIENCE_MS) =>
      (await untilDrained(stack, [route], deadlineMs)) !== undefined,
    async arrived(count, deadlineMs = PATIENCE_MS) {
      const until = Date.now() + deadlineMs;
      while (came.length < count && Date.now() < until) await sleep(20);
      return came;
    },
    async killEdge() {
      const edge = stack.process("edge");
      const gone = once(edge, "exit");
      edge.kill("SIGKILL");
      await gone;
    },
    async stop() {
      await stack.stop();
      await target.close();
    },
  };
}
