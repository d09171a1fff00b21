/**
 * `Relay-Timing` of an answer (the syntax of Server-Timing): the edge's own stages, then the node's.
 *
 * @param nodeTiming the node's field, where its answer has one
 * @param authMs from the request's arrival until a node was called
 * @param callMs from then until the head of the node's answer; undefined where no node was called
 * @example edgeTiming("node_queue;dur=1.0, target;dur=20.0", 2, 24) // "edge_auth;dur=2.0, edge_node;dur=3.0, node_queue;dur=1.0, target;dur=20.0"
 */
export function edgeTiming(nodeTiming: string | null, authMs: number, callMs: number | undefined): string {
  const stages = [`edge_auth;dur=${authMs.toFixed(1)}`];
  if (callMs !== undefined) {
    // What is left when the node's own time is taken away is the way there and back.
    const between = Math.max(0, callMs - totalOf(nodeTiming ?? ""));
    stages.push(`edge_node;dur=${between.toFixed(1)}`);
  }
  if (nodeTiming !== null) stages.push(nodeTiming);
  return stages.join(", ");
}

const DURATION = ";dur=";

function totalOf(timing: string): number {
  let total = 0;
  for (let at = timing.indexOf(DURATION); at !== -1; at = timing.indexOf(DURATION, at + 1)) {
    // It reads as much as is a number.
    const ms = Number.parseFloat(timing.slice(at + DURATION.length, at + DURATION.length + 16));
    if (ms >= 0) total += ms;
  }
  return total;
}

/** How long one request has been at the edge. On Cloudflare clocks stand still but for I/O, so computing takes no time there. */
export class EdgeClock {
  readonly #arrived = performance.now();
  #called: number | undefined;

  /** A node is called. Only the first call ends the edge's own stage: what later ones cost is time on the way to a node. */
  calling(): void {
    this.#called ??= performance.now();
  }

  /** `Relay-Timing` of an answer that is given now. */
  timing(nodeTiming: string | null = null): string {
    const now = performance.now();
    const called = this.#called;
    return edgeTiming(
      nodeTiming,
      (called ?? now) - this.#arrived,
      called === undefined ? undefined : now - called,
    );
  }
}
