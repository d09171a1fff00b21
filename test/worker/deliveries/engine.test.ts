import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { newEvent, passes, SimulatedStore } from "../../support/simulated-store.ts";

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
afterEach(() => void vi.useRealTimers());

test("what is accepted is delivered, once", async () => {
  const store = new SimulatedStore();
  const event = newEvent({ size: 5 });
  const bodies: Uint8Array[] = [];
  store.deliver = (_event, body) => {
    bodies.push(...body.chunks());
    return {
      kind: "answered",
      answer: { status: 204, body: "", isCut: false },
      retryAfter: null,
      node: "n",
      egress: "e",
    };
  };
  expect(await store.accept(event, new TextEncoder().encode("hello"))).toEqual({
    id: event.id,
    status: "stored",
  });
  expect(store.sent).toEqual([]);
  await passes(1_000);
  expect(store.sent).toMatchObject([{ event: { id: event.id, attempt: 1, request: "sealed" } }]);
  expect(Buffer.concat(bodies).toString()).toBe("hello");
  expect(store.store.totals.counts()).toEqual({ accepted: 1, delivered: 1, pending: 0, dead: 0, purged: 0 });
  const detail = store.store.detail(store.store.events.byId(event.id)!);
  expect(detail).toMatchObject({
    state: "delivered",
    spent: 1,
    attempts: [{ n: 1, result: "answered", status: 204 }],
  });
  await passes(3_600_000);
  expect(store.sent).toHaveLength(1);
});
