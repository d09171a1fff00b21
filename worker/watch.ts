import type { EdgeNode } from "./config.ts";
import { GONE_PATIENCE_MS, PROBE_DEADLINE_MS, SUSPECT_MS, WATCH_MS } from "./limits.ts";
import type { Pool } from "./pool.ts";
import { probe } from "./probe.ts";

/**
 * Looks after a node while a request waits for its answer: a process that stands still, or a link that was cut, makes no
 * error, only silence, as a slow target does too. So a silent node is asked whether it is there.
 *
 * @param mayMove whether the request can go to another node as it stands
 * @param giveUp called once, where the node is gone and waiting for it is no use
 * @returns ends it
 */
export function watchNode(
  pool: Pool,
  node: EdgeNode,
  mayMove: () => boolean,
  giveUp: () => void,
): () => void {
  const started = Date.now();
  let over = false;
  let timer = setTimeout(() => void look(), SUSPECT_MS);

  async function look(): Promise<void> {
    const now = Date.now();
    const goneSince = pool.goneSince(node.id);
    const isGone = goneSince !== undefined;
    if (isGone && (mayMove() || now - Math.max(goneSince, started) >= GONE_PATIENCE_MS)) {
      over = true;
      giveUp();
      return;
    }
    if (pool.shouldAsk(node.id, Math.max(started, now - SUSPECT_MS), now)) {
      pool.asking(node.id, now + PROBE_DEADLINE_MS);
      const fault = await probe(node);
      // One that drains or is out of service answers: what it has begun goes on.
      if (fault?.gone === true) pool.missed(node.id, fault, Date.now());
      else pool.heard(node.id, Date.now());
      pool.asking(node.id, -Infinity);
    }
    if (!over) timer = setTimeout(() => void look(), WATCH_MS);
  }

  return () => {
    over = true;
    clearTimeout(timer);
  };
}
