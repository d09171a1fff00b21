import type { IncomingMessage, ServerResponse } from "node:http";
import { startFakePool } from "./fake-pool.ts";

/** An edge whose only node is a server of the test's. */
export interface FakeNode {
  readonly edge: string;
  readonly relayUrl: string;
  /** What the next requests at the node's address are answered with. */
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
}

/** @param allow the client's targets */
export async function startFakeNode(allow: readonly string[]): Promise<FakeNode> {
  const pool = await startFakePool(1, allow);
  const fake: FakeNode = {
    edge: pool.edge,
    relayUrl: pool.relayUrl,
    answer: (_request, response) => response.end(),
    stop: () => pool.stop(),
  };
  pool.nodes[0]!.answer = (request, response) => fake.answer(request, response);
  return fake;
}
