import pino from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TurnLines } from "../../relay-node/logger.ts";

let written: string[];
let lines: TurnLines;
let log: pino.Logger;
beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "performance"],
  });
  written = [];
  lines = new TurnLines((text) => written.push(text), pino.levels.values["warn"]!);
  log = pino({ base: null, timestamp: false }, lines);
});

afterEach(() => vi.useRealTimers());

/** What was to come at its end has come. */
const nextTurn = () => vi.advanceTimersByTimeAsync(0);
const line = (level: number, msg: string) => `{"level":${level},"msg":"${msg}"}\n`;

test("the lines of one turn are written together at its end", async () => {
  log.info("one");
  await Promise.resolve();
  log.info("two");
  expect(written).toEqual([]);
  await nextTurn();
  expect(written).toEqual([line(30, "one") + line(30, "two")]);
});

test("lines that follow soon are written together, less than a moment later, and then by turns again", async () => {
  log.info("one");
  await nextTurn();
  log.info("two");
  await nextTurn();
  log.info("three");
  await nextTurn();
  expect(written).toEqual([line(30, "one")]);
  await vi.advanceTimersByTimeAsync(9);
  expect(written).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(written.slice(1)).toEqual([line(30, "two") + line(30, "three")]);
  await vi.advanceTimersByTimeAsync(10);
  log.info("four");
  await nextTurn();
  expect(written.slice(2)).toEqual([line(30, "four")]);
});

test("no more is kept than some 64 kB", async () => {
  log.info("one");
  await nextTurn();
  const long = "x".repeat(40_000);
  log.info(long);
  expect(written).toHaveLength(1);
  log.info(long);
  expect(written.slice(1)).toEqual([line(30, long) + line(30, long)]);
});

test("a warning is written at once, behind what came before it, and nothing twice", async () => {
  log.info("one");
  log.warn("two");
  expect(written).toEqual([line(30, "one") + line(40, "two")]);
  await nextTurn();
  expect(written).toHaveLength(1);
});

test("what is left is written when it is asked for, as at the process's exit", async () => {
  log.info("one");
  lines.flush();
  lines.flush();
  await nextTurn();
  expect(written).toEqual([line(30, "one")]);
});
