import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { insides } from "../../../relay-node/tcp/insides.ts";

/** A Node, or a host, that is not as expected; what is left behind would end the process, and this run. */

const ENETUNREACH = -101;

afterEach(() => void vi.restoreAllMocks());

test.each([
  ["can't be reached", ENETUNREACH],
  ["says nothing", 0],
])("a loopback that %s is found out, and nothing comes after", async (_what, answer) => {
  const prototype = insides!.TCP.prototype as { connect(): number };
  vi.spyOn(prototype, "connect").mockReturnValue(answer);
  // Others may have found it to be as expected.
  vi.resetModules();
  const { canBeBare, tryBareSockets } = await import("../../../relay-node/tcp/trial.ts");
  expect(await tryBareSockets()).toBe(false);
  expect(canBeBare()).toBe(false);
  await pause(2_500);
});
