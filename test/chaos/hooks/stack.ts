import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminCall } from "../../../client/admin.ts";
import { type Stack, startStack } from "../../../dev/stack.ts";
import { buildWorker } from "../../../dev/workerd.ts";
import type { DeliveryCounts, DeliveryDetail, DeliveryRow } from "../../../protocol/deliveries.ts";
import { addClient } from "../../support/operator-calls.ts";
import { freePort } from "../../support/stack.ts";
import { DETAILS_AT_ONCE, LOOK_MS, SCHEDULE_SECONDS } from "./limits.ts";
import { Receiver } from "./receiver.ts";

export const CLIENT = "hooks";
export const ROUTES = { free: "free", fifo: "fifo" } as const;

/** The stack of the kill suite: the worker in workerd with its storage on disk, two nodes, and a receiver. */
export interface HooksStack {
  readonly stack: Stack;
  readonly receiver: Receiver;
  /** What providers sign with. */
  readonly secret: string;
  stop(): Promise<void>;
}

/** Starts all of it in a folder, with two routes that are verified and signed by Standard Webhooks. */
export async function startHooksStack(dir: string, random: () => number): Promise<HooksStack> {
  const [secret, signing] = [newSecret(), newSecret()];
  const ports = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const stack = await startStack({
    dir,
    edgePort: ports[0]!,
    targetPort: ports[1]!,
    nodes: [
      { id: "node-1", port: ports[2]!, egress: "127.0.0.2" },
      { id: "node-2", port: ports[3]!, egress: "127.0.0.3" },
    ],
    workerModule: await buildWorker(join(dir, "worker")),
    nodeConfig: { drainSeconds: 0 },
  });
  const { cert, key } = stack.keys;
  const receiver = new Receiver({ port: ports[4]!, cert, key, secret: signing, random });
  const stop = async () => {
    await stack.stop();
    receiver.stop();
  };
  try {
    await receiver.start();
    await addClient(stack.operator, CLIENT, { allow: [new URL(receiver.target("")).origin] });
    const common = {
      client: CLIENT,
      verifier: { type: "standard-webhooks", secrets: [secret] },
      sign: { secrets: [signing] },
      schedule: SCHEDULE_SECONDS,
    };
    for (const route of [
      { ...common, id: ROUTES.free, target: receiver.target(ROUTES.free), dedupe: "header:X-Event-Id" },
      { ...common, id: ROUTES.fifo, target: receiver.target(ROUTES.fifo), order: "header:X-Lane" },
    ]) {
      await adminCall(stack.operator, "PUT", `/admin/routes/${route.id}`, { body: route });
    }
    return { stack, receiver, secret, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function newSecret(): string {
  return `whsec_${randomBytes(24).toString("base64")}`;
}

/** A route's counts. */
export async function countsOf({ operator }: Stack, route: string): Promise<DeliveryCounts> {
  const { value } = await adminCall(operator, "GET", `/admin/deliveries/route:${route}/counts`);
  return value as DeliveryCounts;
}

/** All of a route's deliveries in a state, at most so many. */
export async function deliveriesIn(
  { operator }: Stack,
  route: string,
  state: string,
  most: number,
): Promise<DeliveryRow[]> {
  const found: DeliveryRow[] = [];
  for (let before = ""; found.length < most;) {
    const path = `/admin/deliveries/route:${route}?state=${state}&limit=100${before && `&before=${before}`}`;
    const { value } = await adminCall(operator, "GET", path);
    const { deliveries, next } = value as { deliveries: DeliveryRow[]; next: string | null };
    found.push(...deliveries);
    if (next === null) break;
    before = encodeURIComponent(next);
  }
  return found.slice(0, most);
}

/** What is known of deliveries, by the ids that they are asked by. */
export async function detailsOf(
  { operator }: Stack,
  asked: readonly { readonly id: string; readonly route: string; readonly delivery: string }[],
): Promise<Map<string, DeliveryDetail>> {
  const found = new Map<string, DeliveryDetail>();
  const left = [...asked];
  const ask = async () => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      const path = `/admin/deliveries/route:${one.route}/${one.delivery}`;
      found.set(one.id, (await adminCall(operator, "GET", path)).value as DeliveryDetail);
    }
  };
  await Promise.all(Array.from({ length: DETAILS_AT_ONCE }, ask));
  return found;
}

/** Resolves when nothing is pending any more, or when the time is over, with the seconds that it took. */
export async function untilDrained(
  stack: Stack,
  routes: readonly string[],
  deadlineMs: number,
): Promise<number | undefined> {
  const from = Date.now();
  while (Date.now() - from < deadlineMs) {
    const counts = await Promise.all(routes.map((route) => countsOf(stack, route)));
    if (counts.every(({ pending }) => pending === 0)) return (Date.now() - from) / 1_000;
    await sleep(LOOK_MS);
  }
  return undefined;
}
