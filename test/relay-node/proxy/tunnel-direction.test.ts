import { expect, test } from "vitest";
import { ClientLimits } from "../../../relay-node/client-limits.ts";
import type { NodeConfig } from "../../../relay-node/config.ts";
import { TunnelDirection } from "../../../relay-node/proxy/tunnel-direction.ts";
import { StreamAccount } from "../../../relay-node/stream-account.ts";

test("a tunnel that runs is paced by the newest grant of its client, and rests by what all have moved", () => {
  const limits = new ClientLimits(() => 0);
  const account = new StreamAccount({ id: "node-1" } as NodeConfig, "proxy");
  account.slot = limits.enter("app", undefined, 100, "stream");
  let moves = 0;
  const direction = new TunnelDirection(account, "up", () => moves++);
  expect([direction.isPaced, direction.mustRest()]).toEqual([false, false]);
  limits.enter("app", { bytes: 1_000 }, 101, "stream");
  expect([direction.isPaced, direction.mustRest()]).toEqual([true, false]);
  direction.moved(5_000);
  expect([direction.mustRest(), account.bytesUp, account.bytesDown, moves]).toEqual([true, 5_000, 0, 1]);
  direction.ended();
  expect(moves).toBe(2);
  limits.enter("app", {}, 102, "stream");
  expect(direction.isPaced).toBe(false);
  account.slot.leave();
});
