import { describe, expect, test } from "vitest";
import { newHealth, nextHealth, type NodeHealth, type ProbeTimes, type Sign } from "../../worker/health.ts";

const TIMES: ProbeTimes = {
  healthyMs: 5_000,
  backoffMs: 500,
  backoffMaxMs: 8_000,
  returningMs: 500,
  stableProbes: 3,
  stableMs: 1_000,
};
const gone = { reason: "no answer to a probe", gone: true };
const drains = { reason: "draining", gone: false };
const good: Sign = { kind: "good" };
const bad: Sign = { kind: "bad", fault: gone };
const complaint = (epoch?: number): Sign => ({ kind: "complaint", fault: drains, epoch });

/** What comes of signs, each with the milliseconds that have passed since the start. */
function after(...signs: readonly (readonly [ms: number, sign: Sign])[]): NodeHealth {
  return signs.reduce((health, [ms, sign]) => nextHealth(health, sign, ms, TIMES), newHealth(0));
}

describe("a node that is up", () => {
  test("is one that nothing is known of, to be probed at once", () => {
    expect(newHealth(7)).toMatchObject({ up: true, epoch: 0, since: 7, probeAt: 7 });
  });

  test("stays up with good probes, at the pace of a healthy one", () => {
    expect(after([1_000, good], [6_000, good])).toEqual({ ...newHealth(0), probeAt: 11_000 });
  });

  test.each([
    { what: "one bad probe", sign: bad, fault: gone, failures: 1, probeAt: 10_500 },
    { what: "one complaint", sign: complaint(0), fault: drains, failures: 0, probeAt: 10_500 },
    {
      what: "a complaint of nobody knows when",
      sign: complaint(),
      fault: drains,
      failures: 0,
      probeAt: 10_500,
    },
  ])("goes down with $what", ({ sign, fault, failures, probeAt }) => {
    expect(after([1_000, good], [10_000, sign])).toEqual({
      up: false,
      epoch: 0,
      since: 10_000,
      ...fault,
      goods: 0,
      goodSince: 0,
      failures,
      probeAt,
    });
  });
});

describe("a node that is down", () => {
  test("is probed with a wait that doubles up to the most", () => {
    let health = newHealth(0);
    const waits: number[] = [];
    for (let i = 0, now = 0; i < 8; i++, now = health.probeAt) {
      health = nextHealth(health, bad, now, TIMES);
      waits.push(health.probeAt - now);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000]);
    expect(health).toMatchObject({ up: false, since: 0, failures: 8 });
  });

  test("has a finite wait however often it failed", () => {
    let health = newHealth(0);
    for (let i = 0; i < 2_000; i++) health = nextHealth(health, bad, 0, TIMES);
    expect(health.probeAt).toBe(8_000);
  });

  /** Good probes at these milliseconds after it went down at 0. */
  const returning = (...at: number[]) => after([0, bad], ...at.map((ms) => [ms, good] as const));
  test.each([
    { what: "one good probe is not enough", at: [5_000], up: false },
    { what: "nor two, however far apart", at: [5_000, 60_000], up: false },
    { what: "nor three within less than the stable spell", at: [5_000, 5_300, 5_999], up: false },
    { what: "but three over the spell are", at: [5_000, 5_500, 6_000], up: true },
    { what: "and so is what goes on until the spell is over", at: [5_000, 5_300, 5_900, 6_000], up: true },
  ])("$what", ({ at, up }) => {
    expect(returning(...at).up).toBe(up);
  });

  test("is probed at the pace of a returning one from the first good probe on", () => {
    expect(after([0, bad], [500, bad], [1_500, good])).toMatchObject({
      goods: 1,
      goodSince: 1_500,
      failures: 0,
      probeAt: 2_000,
    });
  });

  test("comes back with a new epoch and nothing of what it was down for", () => {
    expect(returning(5_000, 5_500, 6_000)).toEqual({ ...newHealth(6_000), epoch: 1, probeAt: 11_000 });
  });

  test("begins its stable spell anew after a bad probe", () => {
    const health = after([0, bad], [5_000, good], [5_500, good], [5_900, bad], [6_400, good], [6_900, good]);
    expect(health).toMatchObject({ up: false, goods: 2, goodSince: 6_400, since: 0 });
    expect(nextHealth(health, good, 7_400, TIMES).up).toBe(true);
  });

  test("stays as it is whoever complains: probes alone tell when it is back", () => {
    const health = after([0, bad], [5_000, good]);
    expect(nextHealth(health, complaint(0), 5_200, TIMES)).toBe(health);
  });

  test("may turn from draining to gone", () => {
    expect(after([0, complaint(0)], [500, bad])).toMatchObject({ ...gone, up: false, since: 0 });
  });
});

describe("a complaint about a node that has come back", () => {
  const back = after([0, bad], [5_000, good], [5_500, good], [6_000, good]);
  test.each([
    { what: "from before it came back changes nothing", epoch: 0, up: true },
    { what: "from after takes it down", epoch: 1, up: false },
    { what: "that doesn't know when takes it down", epoch: undefined, up: false },
  ])("$what", ({ epoch, up }) => {
    expect(nextHealth(back, complaint(epoch), 6_100, TIMES)).toMatchObject({ up, epoch: 1 });
  });
});
