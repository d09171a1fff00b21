import { describe, expect, test } from "vitest";
import { EGRESS_LIST_MAX_BYTES } from "../../protocol/limits.ts";
import { eventually } from "../support/node-log.ts";
import { startNodeProcess } from "../support/node-process.ts";
import { listed, PATIENCE_MS, startPublishingEdge, told, untilHealth } from "../support/publishing-edge.ts";

/** Side by side: each waits for what a real node does every second. */
describe.concurrent("a node at an edge with a published list", () => {
  test.for([
    { what: "a failure", published: undefined },
    { what: "no JSON", published: "<html>" },
    { what: "no list", published: { addresses: undefined } },
    { what: "another edge's list", published: { issuer: "https://other.example.com" } },
    { what: "more than a list is read of", published: "x".repeat(EGRESS_LIST_MAX_BYTES + 1) },
  ])(
    "takes $what for no word: the former one stays, and at a start none is needed",
    async ({ published }, { onTestFinished }) => {
      const edge = await startPublishingEdge({});
      onTestFinished(() => edge.close());
      edge.publish(published);
      const node = await startNodeProcess({ witnesses: [], proofSeconds: 1, edge: edge.origin });
      onTestFinished(() => node.stop());
      await untilHealth(node, 200);
      edge.publish({});
      await untilHealth(node, 503);
      edge.publish(published);
      const { asked } = edge;
      await eventually(() => edge.asked > asked + 4, "it was asked again", PATIENCE_MS);
      expect((await node.get("/healthz"))?.status).toBe(503);
      edge.publish({ addresses: [listed("127.0.0.2")] });
      await untilHealth(node, 200);
      expect(told(node, "published list not read")).toHaveLength(2);
      expect(told(node, "published list read")).toHaveLength(2);
    },
  );
});
