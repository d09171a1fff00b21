import type { Field } from "../../protocol/headers.ts";
import type { DeliveryDetail, DeliveryOptions } from "../../protocol/deliveries.ts";
import { sleep } from "./fidelity.ts";
import { type Call, EdgeCall, enveloped, requestToken, type Wire } from "./raw-caller.ts";

/** What the edge answered to a call by its JSON. */
export interface Told {
  readonly status: number;
  readonly code: string | undefined;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Hands a request over that is to be made later, written byte for byte. */
export async function handOver(
  relayUrl: string,
  call: Call,
  body?: string | Uint8Array,
  delivery?: DeliveryOptions,
): Promise<Told> {
  const claims = { ...call.claims, act: "enqueue", ...(delivery !== undefined && { delivery }) } as const;
  return sendOver(relayUrl, await enveloped(relayUrl, { ...call, claims }), body);
}

/** The same with what was written already. */
export async function sendOver(relayUrl: string, wire: Wire, body?: string | Uint8Array): Promise<Told> {
  const edge = await EdgeCall.begin(new URL(relayUrl).origin, wire, "/deliveries");
  if (body !== undefined) await edge.send(body);
  if (wire.framing === "chunked") edge.finish();
  const head = await edge.head;
  await edge.ended;
  edge.destroy();
  return {
    status: Number(head.start.split(" ")[1]),
    code: fieldOf(head.fields, "relay-error"),
    json: JSON.parse(edge.body.content.toString()) as Told["json"],
  };
}

/** How a delivery is, as its client is told. */
export async function askAbout(
  relayUrl: string,
  id: string,
): Promise<{ readonly status: number; readonly detail: DeliveryDetail }> {
  const url = `${new URL(relayUrl).origin}/deliveries/${id}`;
  const token = await requestToken(relayUrl, { act: "delivery", htm: "GET", url });
  const answer = await fetch(url, { headers: { "Relay-Authorization": `Bearer ${token}` } });
  return { status: answer.status, detail: (await answer.json()) as DeliveryDetail };
}

function fieldOf(fields: readonly Field[], name: string): string | undefined {
  return fields.find(([one]) => one.toLowerCase() === name)?.[1];
}

/** How a delivery is once it has come to what is awaited. */
export async function untilSo(
  relayUrl: string,
  id: unknown,
  isSo: (detail: DeliveryDetail) => boolean,
): Promise<DeliveryDetail> {
  for (;;) {
    const { status, detail } = await askAbout(relayUrl, id as string);
    if (status !== 200) throw new Error(`HTTP ${status}: ${JSON.stringify(detail)}`);
    if (isSo(detail)) return detail;
    await sleep(50);
  }
}
