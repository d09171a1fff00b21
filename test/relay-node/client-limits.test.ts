import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { GrantLimits } from "../../protocol/grants.ts";
import { ClientLimits, type ClientSlot } from "../../relay-node/client-limits.ts";

/** Time stands still but where a test moves it on. */
let limits: ClientLimits;
beforeEach(() => {
  vi.useFakeTimers();
  limits = new ClientLimits();
});
afterEach(() => void vi.useRealTimers());

const enter = (own: GrantLimits | undefined, client = "app", issued = 100) =>
  limits.enter(client, own, issued);
const refusal = (code: string, retryAfter: number) => expect.objectContaining({ code, retryAfter }) as Error;

describe("requests per second", () => {
  test.each([
    [1, 1, 1],
    [5, 5, 1],
    [5_000, 5_000, 1],
    [0.1, 1, 10],
    [0.3, 1, 4],
    [1.5, 1, 1],
  ])("of %d: a burst of %d, then told to wait %d s", (rate, burst, retryAfter) => {
    for (let i = 0; i < burst; i++) enter({ rate }).leave();
    expect(() => enter({ rate })).toThrow(refusal("rate_limited", retryAfter));
    vi.advanceTimersByTime(retryAfter * 1_000);
    enter({ rate }).leave();
    expect(limits.slots).toBe(0);
  });

  test("one client's don't count for another", () => {
    enter({ rate: 1 });
    expect(() => enter({ rate: 1 })).toThrow(refusal("rate_limited", 1));
    expect(() => enter({ rate: 1 }, "other")).not.toThrow();
  });
});

test("whether bytes have a share is the newest grant's to say, for what stands already, too", () => {
  const slot = enter({});
  expect(slot.isPaced).toBe(false);
  enter({ bytes: 1_000 }, "app", 101);
  expect(slot.isPaced).toBe(true);
  enter({ bytes: 1_000 }, "other").leave();
  enter({}, "app", 102);
  expect(slot.isPaced).toBe(false);
});

describe("requests at once", () => {
  test("as many as there are slots; each is freed once, however often it is left", () => {
    const slots = Array.from({ length: 3 }, () => enter({ concurrent: 3 }));
    expect(() => enter({ concurrent: 3 })).toThrow(refusal("concurrency_limited", 1));
    slots[0]!.leave();
    slots[0]!.leave();
    enter({ concurrent: 3 });
    expect(() => enter({ concurrent: 3 })).toThrow(refusal("concurrency_limited", 1));
    expect(limits.slots).toBe(3);
  });

  test("what is refused for one limit uses nothing of the other up", () => {
    const own = { concurrent: 1, rate: 2 };
    const slot = enter(own);
    for (let i = 0; i < 5; i++) expect(() => enter(own)).toThrow(refusal("concurrency_limited", 1));
    slot.leave();
    enter(own).leave();
    for (let i = 0; i < 5; i++) expect(() => enter(own)).toThrow(refusal("rate_limited", 1));
    expect(limits.slots).toBe(0);
  });

  test("a share below one is one", () => {
    const slot = enter({ concurrent: 0.5 });
    expect(() => enter({ concurrent: 0.5 })).toThrow(refusal("concurrency_limited", 1));
    slot.leave();
    expect(() => enter({ concurrent: 0.5 })).not.toThrow();
  });
});

describe("bytes per second", () => {
  test("what is spent beyond them waits until it is paid", () => {
    const slot = enter({ bytes: 1_000 });
    const paid = vi.fn<() => void>();
    slot.onPaid = paid;
    expect(slot.spend(1_000)).toBe(false);
    expect(slot.spend(500)).toBe(true);
    expect(slot.inDebt).toBe(true);
    vi.advanceTimersByTime(499);
    expect(paid).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect([paid.mock.calls.length, slot.inDebt]).toEqual([1, false]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("streams of one client go on in turn, each with a piece before any has a second one", () => {
    const order: string[] = [];
    const stream = (name: string): ClientSlot => {
      const slot = enter({ bytes: 1_000 });
      slot.onPaid = () => {
        order.push(name);
        slot.spend(400);
      };
      return slot;
    };
    const slots = ["a", "b", "c"].map(stream);
    for (const slot of slots) slot.spend(1_100);
    vi.advanceTimersByTime(10_000);
    const counts = ["a", "b", "c"].map((name) => order.filter((one) => one === name).length);
    expect(Math.min(...counts)).toBeGreaterThan(5);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    // 1,000 bytes/s over 10 s, of which 2.3 s pay the debt, and one round of debt more.
    expect(order.length * 400).toBeLessThanOrEqual(7_700 + 3 * 400);
  });

  test("a request that comes while more than a second's worth is owed is refused, with the time until it isn't", () => {
    const slot = enter({ bytes: 1_000 });
    slot.spend(2_000);
    expect(() => enter({ bytes: 1_000 })).not.toThrow();
    slot.spend(2_500);
    expect(() => enter({ bytes: 1_000 })).toThrow(refusal("rate_limited", 3));
    expect(() => enter({ bytes: 1_000 }, "other")).not.toThrow();
    vi.advanceTimersByTime(2_500);
    expect(() => enter({ bytes: 1_000 })).not.toThrow();
  });

  test("without a limit nothing waits and nothing is kept", () => {
    const slot = enter({});
    expect(slot.spend(1e12)).toBe(false);
    slot.leave();
    expect([limits.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  test("a stream that ends in debt leaves no timer, and is not told any more", () => {
    const [one, two] = [enter({ bytes: 10 }), enter({ bytes: 10 })];
    const told = vi.fn<() => void>();
    one.onPaid = told;
    one.spend(100);
    two.spend(100);
    one.leave();
    expect(vi.getTimerCount()).toBe(1);
    two.leave();
    expect(vi.getTimerCount()).toBe(0);
    expect(one.spend(100)).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect([told.mock.calls.length, vi.getTimerCount(), limits.slots]).toEqual([0, 0, 0]);
  });
});

describe("the newest grant's limits count", () => {
  test("and an older one's don't, whichever comes last", () => {
    enter({ concurrent: 1 }, "app", 100);
    enter({ concurrent: 3 }, "app", 102);
    enter({ concurrent: 1 }, "app", 101);
    expect(() => enter({ concurrent: 3 }, "app", 102)).toThrow(refusal("concurrency_limited", 1));
    expect(() => enter({ concurrent: 4 }, "app", 103)).not.toThrow();
  });

  test.each<[string, GrantLimits]>([
    ["more bytes", { bytes: 100_000 }],
    ["no limit of bytes", {}],
  ])("%s let go on what waits", (_what, next) => {
    const slot = enter({ bytes: 100 });
    const paid = vi.fn<() => void>();
    slot.onPaid = paid;
    slot.spend(150);
    enter(next, "app", 101).leave();
    vi.advanceTimersByTime(2);
    expect(paid).toHaveBeenCalledTimes(1);
  });
});

describe("what is remembered", () => {
  test("is dropped when it is idle and full: at once, or as others come", () => {
    enter({ rate: 5_000 });
    for (let i = 0; i < 1_000; i++) enter({ rate: 1 }, `client-${i}`).leave();
    expect(limits.size).toBe(1_001);
    vi.advanceTimersByTime(1_000);
    for (let i = 0; i < 1_000; i++) enter({ rate: 5_000 }, "busy");
    expect(limits.size).toBe(2);
    const slot = enter({ rate: 1_000 }, "short");
    vi.advanceTimersByTime(1);
    slot.leave();
    expect(limits.size).toBe(2);
  });

  test("stays while a slot is taken or a debt is owed", () => {
    const held = enter({ concurrent: 1 }, "held");
    const owes = enter({ bytes: 10 }, "owes");
    owes.spend(1_000);
    owes.leave();
    vi.advanceTimersByTime(50_000);
    for (let i = 0; i < 100; i++) enter({}, `client-${i}`).leave();
    expect(() => enter({ concurrent: 1 }, "held")).toThrow(refusal("concurrency_limited", 1));
    expect(() => enter({ bytes: 10 }, "owes")).toThrow(refusal("rate_limited", 48));
    held.leave();
    expect(limits.size).toBe(1);
  });
});
