import { eventually } from "./node-log.ts";
import type { NodeProcess } from "./node-process.ts";
import { startWitness, type Witness } from "./witness.ts";

/** How long a node is waited for that proves its address. */
export const PATIENCE_MS = 15_000;

/** An edge that publishes what a test says. Nothing else of it is asked for but `/whoami`, which it answers truly. */
export interface PublishingEdge extends Witness {
  readonly origin: string;
  /** An object is laid over an empty list; text is sent as it is; undefined is a failure. */
  publish(list: object | string | undefined): void;
}

/** @param list what it publishes at first */
export async function startPublishingEdge(list: object): Promise<PublishingEdge> {
  const edge = await startWitness();
  const origin = `http://127.0.0.1:${edge.port}`;
  let published: object | string | undefined = list;
  edge.answer = ({ url, socket }, response) => {
    if (url === "/whoami") response.end(JSON.stringify({ address: socket.remoteAddress }));
    else if (published === undefined) response.writeHead(503).end();
    else if (typeof published === "string") response.end(published);
    else {
      const all = { issuer: origin, addresses: [], planned: [], nodes: [], ...published };
      response.end(JSON.stringify(all));
    }
  };
  return Object.assign(edge, {
    origin,
    publish: (next: object | string | undefined) => void (published = next),
  });
}

/** An address as a list has it. */
export const listed = (address: string, node = "node-1") => ({
  address,
  family: address.includes(":") ? "ipv6" : "ipv4",
  node,
  since: "2026-01-01",
});

/** Waits until a node's health is answered with this status. */
export const untilHealth = (node: NodeProcess, status: number) =>
  eventually(
    async () => (await node.get("/healthz"))?.status === status,
    `the node's health is ${status}`,
    PATIENCE_MS,
  );

/** The lines of a node's log with this message. */
export const told = (node: NodeProcess, msg: string) => node.log().filter((line) => line["msg"] === msg);
