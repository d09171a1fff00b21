import { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { queryObjects } from "node:v8";
import { Exchange } from "../../relay-node/exchange.ts";
import { FetchDoor } from "../../relay-node/fetch-door.ts";

/**
 * Loaded into a node's process before it starts: on SIGUSR2 it collects all garbage and tells its parent what is left.
 */

/** What a process holds. */
export interface Holdings {
  /** Bytes that JavaScript holds, buffers included. */
  readonly heapBytes: number;
  /** Living objects by class: asking for them collects all garbage first. */
  readonly objects: Readonly<Record<string, number>>;
  /** What keeps the event loop alive, by kind: sockets, timers, file requests. */
  readonly resources: Readonly<Record<string, number>>;
}

process.on("SIGUSR2", () => {
  const classes = { FetchDoor, Exchange, IncomingMessage, TLSSocket };
  const objects = Object.fromEntries(
    Object.entries(classes).map(([name, constructor]) => [
      name,
      // The prototype itself is counted too.
      queryObjects(constructor, { format: "count" }),
    ]),
  );
  const { heapUsed, external } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  process.send?.({ heapBytes: heapUsed + external, objects, resources } satisfies Holdings);
});
