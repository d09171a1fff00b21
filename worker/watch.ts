import type { EdgeNode } from "./config.ts";
import { GONE_PATIENCE_MS, PROBE_DEADLINE_MS, SUSPECT_MAX_MS, SUSPECT_MS, WATCH_MS } from "./limits.ts";
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
  /** Since when this request knows that the node is gone. */
  let goneSince: number | undefined;
  let quietMs = SUSPECT_MS;
  let over = false;
  let timer = setTimeout(() => void look(), SUSPECT_MS);

  async function look(): Promise<void> {
    const now = Date.now();
    // What was believed before it was sent there all the same, as the last resort, is to be found out anew.
    const isGone = (pool.goneAt(node.id) ?? -Infinity) >= started;
    goneSince = isGone ? (goneSince ?? now) : undefined;
    if (goneSince !== undefined && (mayMove() || now - goneSince >= GONE_PATIENCE_MS)) {
      over = true;
      giveUp();
      return;
    }
    if (pool.shouldAsk(node.id, Math.max(started, now - quietMs), now)) {
      pool.asking(node.id, now + PROBE_DEADLINE_MS);
      const fault = await probe(node);
      // One that drains or is out of service answers: what it has begun goes on.
      if (fault?.gone === true) pool.missed(node.id, fault, Date.now());
      else {
        pool.heard(node.id, Date.now());
        quietMs = Math.min(2 * quietMs, SUSPECT_MAX_MS);
      }
      pool.asking(node.id, -Infinity);
    }
    if (!over) timer = setTimeout(() => void look(), WATCH_MS);
  }

  return () => {
    over = true;
    clearTimeout(timer);
  };
}
