import { describe, expect, test } from "vitest";
import { MemberMap, Members } from "../../relay-node/members.ts";

/** A sequence that is the same each time. */
function* numbers(below: number): Generator<number, never> {
  let state = 1;
  for (;;) {
    state = (state * 48_271) % 2_147_483_647;
    yield state % below;
  }
}

describe("members", () => {
  test("are who entered and has not left, in the order in which they came", () => {
    const members = new Members<number>();
    const places = [1, 2, 3, 4].map((item) => members.enter(item));
    expect([members.size, members.first, ...members]).toEqual([4, 1, 1, 2, 3, 4]);
    expect(places[2]!.leave()).toBe(true);
    expect(places[2]!.leave()).toBe(false);
    expect(places[2]!.item).toBeUndefined();
    expect([members.size, ...members]).toEqual([3, 1, 2, 4]);
    places[0]!.leave();
    places[3]!.leave();
    expect([members.size, members.first, ...members]).toEqual([1, 2, 2]);
    places[1]!.leave();
    expect([members.size, members.first, ...members]).toEqual([0, undefined]);
    members.enter(5);
    expect([members.size, ...members]).toEqual([1, 5]);
  });

  test("leave while they are gone through, and whoever comes then is not met", () => {
    const members = new Members<number>();
    const places = [1, 2, 3, 4].map((item) => members.enter(item));
    const met: number[] = [];
    for (const item of members) {
      met.push(item);
      if (item === 2) {
        places[0]!.leave();
        places[1]!.leave();
        places[2]!.leave();
        members.enter(5);
      }
    }
    expect(met).toEqual([1, 2, 4]);
    expect([...members]).toEqual([4, 5]);
  });

  test("all leave at once", () => {
    const members = new Members<number>();
    const places = [1, 2, 3].map((item) => members.enter(item));
    members.clear();
    expect([members.size, members.first, ...members]).toEqual([0, undefined]);
    expect(places.map((place) => place.leave())).toEqual([false, false, false]);
    expect(members.size).toBe(0);
  });

  test("are as a Set has them, whoever comes and goes", () => {
    const members = new Members<number>();
    const set = new Set<number>();
    const places = new Map<number, ReturnType<typeof members.enter>>();
    const random = numbers(50);
    for (let step = 0; step < 5_000; step++) {
      const item = random.next().value;
      if (set.delete(item)) places.get(item)!.leave();
      else {
        set.add(item);
        places.set(item, members.enter(item));
      }
      expect([members.size, members.first]).toEqual([set.size, set.values().next().value]);
      if (step % 100 === 0) expect([...members]).toEqual([...set]);
    }
  });
});

describe("a map of members", () => {
  test("is as a Map is", () => {
    const keys = Array.from({ length: 20 }, () => ({}));
    const [ours, other] = [new MemberMap<object, number>(), new MemberMap<object, number>()];
    const map = new Map<object, number>();
    other.set(keys[0]!, -1);
    const random = numbers(20);
    for (let step = 0; step < 2_000; step++) {
      const key = keys[random.next().value]!;
      if (step % 3 === 0) expect(ours.delete(key)).toBe(map.delete(key));
      else {
        ours.set(key, step);
        // Ours puts what is set anew behind the others.
        map.delete(key);
        map.set(key, step);
      }
      expect([ours.size, ours.has(key), ours.get(key)]).toEqual([map.size, map.has(key), map.get(key)]);
    }
    expect([...ours.keys()]).toEqual([...map.keys()]);
    expect([other.size, other.get(keys[0]!)]).toEqual([1, -1]);
  });
});
