import { expect, test } from "vitest";
import { SharedTask } from "../../client/shared-task.ts";

const later = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), ms));

test("a task is done once for all who come meanwhile, and anew for who comes later", async () => {
  const shared = new SharedTask<number>(5_000, Date.now);
  let done = 0;
  const task = () => later(30, ++done);
  expect(await Promise.all([1, 2, 3].map(() => shared.run(task)))).toEqual([1, 1, 1]);
  expect(await shared.run(task)).toBe(2);
  expect(shared.isRunning).toBe(false);
});

test("a failure is told to all who wait", async () => {
  const shared = new SharedTask<number>(5_000, Date.now);
  const task = async () => {
    await later(30, 0);
    throw new Error("not now");
  };
  const told = await Promise.allSettled([shared.run(task), shared.run(() => later(0, 1))]);
  expect(told.map((one) => one.status === "rejected" && (one.reason as Error).message)).toEqual([
    "not now",
    "not now",
  ]);
  expect(await shared.run(() => later(0, 1))).toBe(1);
});

test.each([
  ["its deadline is over", Date.now],
  ["its clock stands still", () => 1_767_225_600_000],
])("a task that never ends is done by another caller once %s", async (_, now) => {
  const shared = new SharedTask<string>(60, now);
  void shared.run(() => new Promise(() => {}));
  expect(shared.isRunning).toBe(true);
  const others = await Promise.all([shared.run(() => later(10, "one")), shared.run(() => later(10, "two"))]);
  expect(others).toContain("one");
});

test("what ends late changes nothing for those who did it meanwhile", async () => {
  const shared = new SharedTask<string>(30, Date.now);
  const slow = shared.run(() => later(120, "slow"));
  await later(50, undefined);
  const quick = shared.run(() => later(100, "quick"));
  expect(await slow).toBe("slow");
  expect(shared.isRunning || (await quick) === "quick").toBe(true);
  expect(await quick).toBe("quick");
});
