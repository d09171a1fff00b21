import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay, relayInfo } from "../../client/index.ts";
import { eventually, logLines } from "../support/node-log.ts";
import { testStack } from "../support/stack.ts";

let stack: Awaited<ReturnType<typeof testStack>>;
beforeAll(async () => {
  stack = await testStack();
});
afterAll(() => stack.stop());

const proofs = (id: string) => logLines(stack.logs.node(id)).filter(({ msg }) => msg === "address proven");

/** The proof that a node tells of as it starts anew: its log may follow a moment later. */
async function proofAnew(id: "node-1" | "node-2"): Promise<unknown> {
  const before = proofs(id).length;
  await stack.restartNode(id);
  await eventually(() => proofs(id).length > before, `${id} tells of its proof`);
  return proofs(id).at(-1);
}

describe("the nodes of a stack", () => {
  test("serve from the address that edge and peer see them come from", async () => {
    for (const { id, egress } of stack.nodes) {
      const response = await createRelay(stack.relayUrl, { node: id }).fetch(`${stack.target}/`);
      expect(await response.json()).toMatchObject({ from: egress });
      expect(relayInfo(response)).toMatchObject({ node: id, egress });
    }
    expect(await proofAnew("node-1")).toMatchObject({
      published: "127.0.0.2",
      listed: true,
      told: { edge: "127.0.0.2", "node-2": "127.0.0.2" },
    });
  });

  test("come into service by each other's word where the edge is gone", async () => {
    const edge = stack.process("edge");
    const gone = once(edge, "exit");
    edge.kill("SIGKILL");
    await gone;
    expect(await proofAnew("node-2")).toMatchObject({
      published: "127.0.0.3",
      told: { edge: "ECONNREFUSED", "node-1": "127.0.0.3" },
    });
  });
});
