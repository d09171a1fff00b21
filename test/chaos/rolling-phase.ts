import { POOL } from "./hosts.ts";
import { SPREAD_DEADLINE_MS } from "./limits.ts";
import type { ChaosStack } from "./stack.ts";
import type { Watch } from "./watch.ts";

/** What became of a restart of the whole pool, one node after the other. */
export interface RollingResult {
  readonly requests: number;
  /** Requests of any kind that failed. */
  readonly failed: readonly string[];
  /** Whether traffic was spread evenly again after each node. */
  readonly even: boolean;
  readonly seconds: number;
}

/** Drains and restarts one node after the other, each once the one before takes its share again. */
export async function rollingRestart({ nodes }: ChaosStack, watch: Watch): Promise<RollingResult> {
  await watch.collect();
  const before = watch.attempts.length;
  const started = Date.now();
  let even = true;
  for (const { id } of POOL) {
    nodes.get(id)!.end("SIGTERM");
    await nodes.get(id)!.serving();
    const seconds = await watch.untilEven(
      POOL.map((node) => node.id),
      SPREAD_DEADLINE_MS,
    );
    even &&= seconds !== undefined;
  }
  const attempts = watch.attempts.slice(before);
  return {
    requests: attempts.length,
    failed: attempts.flatMap(({ id, streamed, failure }) =>
      failure === undefined
        ? []
        : [
            `${id}${streamed ? " (streamed)" : ""}: ${failure.code}, reached ${failure.reached}: ${failure.detail}`,
          ],
    ),
    even,
    seconds: (Date.now() - started) / 1_000,
  };
}
