import { createHmac, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { adminCall } from "../client/admin.ts";
import type { Accepted, DeliveryDetail } from "../protocol/deliveries.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { type Row, type Seen, strayFields } from "./check-row.ts";
import type { Stack } from "./stack.ts";

/** How long the delivery may take, and how often it is looked for. */
const DELIVERED_MS = 10_000;
const LOOK_MS = 50;

/** Calls a route as a provider does, signed by Standard Webhooks, and looks until it is delivered. */
export async function takenAsWebhook(stack: Stack): Promise<Row> {
  const what = "webhook";
  const { edge, nodes, operator } = stack;
  const started = performance.now();
  try {
    const key = randomBytes(32);
    await putRoute(stack, `whsec_${key.toString("base64")}`);
    const { status, id } = await call(`${edge}/hooks/check`, key);
    const stored = performance.now();
    const { state, answer, attempts } = await ended(operator, id);
    const total = performance.now();
    const seen = JSON.parse(Buffer.from(answer?.body ?? "", "base64").toString()) as Seen;
    const strays = strayFields(seen);
    let wrong: string | undefined;
    if (state !== "delivered") wrong = `it is ${state}`;
    else if (attempts.at(-1)?.egress !== seen.from) wrong = `its receipt names ${attempts.at(-1)?.egress}`;
    else if (!nodes.some(({ egress }) => egress === seen.from)) wrong = `the target saw ${seen.from}`;
    else if (strays.length > 0) wrong = `fields of the relay reached the target: ${strays.join(", ")}`;
    const stages = `stored ${(stored - started).toFixed(1)}  total ${(total - started).toFixed(1)}`;
    return { what, egress: seen.from, status: `${status} ${state}`, stages, wrong };
  } catch (error) {
    return { what, egress: "-", status: "failed", stages: "-", wrong: (error as Error).message };
  }
}

/** The one route of the check, with a secret of this run's. */
async function putRoute({ relayUrl, target, operator }: Stack, secret: string): Promise<void> {
  const body = {
    id: "check",
    client: new URL(relayUrl).username,
    target: `${target}/check`,
    verifier: { type: "standard-webhooks", secrets: [secret] },
  };
  const known = await adminCall(operator, "GET", "/admin/routes/check").catch(() => undefined);
  await adminCall(operator, "PUT", "/admin/routes/check", { body, ifMatch: known?.version });
}

async function call(url: string, key: Buffer): Promise<{ readonly status: number; readonly id: string }> {
  const [id, timestamp, body] = [newRequestId(), String(Math.floor(Date.now() / 1_000)), "check"];
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
    body,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the answer was ${response.status}: ${text}`);
  return { status: response.status, id: (JSON.parse(text) as Accepted).id };
}

async function ended(operator: Stack["operator"], id: string): Promise<DeliveryDetail> {
  const until = performance.now() + DELIVERED_MS;
  for (;;) {
    const { value } = await adminCall(operator, "GET", `/admin/deliveries/route:check/${id}`);
    const detail = value as DeliveryDetail;
    if (detail.state !== "pending" || performance.now() > until) return detail;
    await pause(LOOK_MS);
  }
}
