import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRelay, type Relay } from "../../client/index.ts";
import { freePort, testStack } from "../support/stack.ts";

/** What V8 keeps of requests that have gone: nothing of note may reach its old generation, where it stays until all of the heap is looked through. */

const REQUESTS = 4_000;
const AT_ONCE = 16;
/** Code is compiled, what a node keeps for good is made. */
const WARM_UP = 2_000;
/** Of what is made, in all; where whole requests are kept it is a sixth and more. */
const KEPT_MAX = 0.06;

let stack: Awaited<ReturnType<typeof testStack>>;
let relay: Relay;
beforeAll(async () => {
  stack = await testStack({
    nodes: [{ id: "node-1", port: await freePort(), egress: "127.0.0.2" }],
    nodeFlags: ["--trace-gc", "--trace-gc-nvp"],
  });
  relay = createRelay(stack.relayUrl);
});
afterAll(async () => {
  await stack.stop();
});

async function ask(count: number): Promise<void> {
  let left = count;
  const asking = async () => {
    while (left-- > 0) {
      const response = await relay.fetch(`${stack.target}/`);
      await response.arrayBuffer();
      expect(response.status).toBe(200);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, asking));
}

interface Collection {
  readonly gc: string;
  readonly allocated: number;
  readonly promoted: number;
}

/** Collections of the young generation by now. */
function collections(): Collection[] {
  return readFileSync(stack.logs.node("node-1"), "utf8")
    .split("\n")
    .flatMap((line) => {
      const at = line.indexOf('GC: {"pause"');
      return at === -1 ? [] : [JSON.parse(line.slice(at + 4)) as Collection];
    })
    .filter(({ gc }) => gc === "s");
}

test("of requests that have gone next to nothing is kept", { timeout: 120_000 }, async () => {
  await ask(WARM_UP);
  const before = collections().length;
  await ask(REQUESTS);
  const found = collections().slice(before);
  expect(found.length).toBeGreaterThan(20);
  const sum = (which: "allocated" | "promoted") => found.reduce((all, one) => all + one[which], 0);
  expect(sum("promoted") / sum("allocated")).toBeLessThan(KEPT_MAX);
});
