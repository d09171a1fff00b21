import type { EdgeNode } from "./config.ts";
import type { Fault } from "./health.ts";
import { PROBE_DEADLINE_MS } from "./limits.ts";

/** The longest answer of `/healthz` that is read. */
const HEALTH_MAX_BYTES = 4_096;

/**
 * Asks a node whether it serves.
 * @returns what is wrong, or undefined where nothing is
 */
export async function probe({ id, url }: EdgeNode): Promise<Fault | undefined> {
  try {
    const answer = await fetch(`${url}/healthz`, {
      redirect: "manual",
      signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
    });
    const said = await readHealth(answer);
    if (said?.node !== id) return { reason: `HTTP ${answer.status}, not from ${id}`, gone: true };
    if (answer.status === 200 && said.status === "ok") return undefined;
    const reason = [said.status, said.reason].filter((part) => typeof part === "string").join(": ");
    return { reason: reason.slice(0, 300), gone: false };
  } catch {
    return { reason: "no answer to a probe", gone: true };
  }
}

async function readHealth(
  answer: Response,
): Promise<{ readonly node?: unknown; readonly status?: unknown; readonly reason?: unknown } | undefined> {
  // A page of something in between may be of any length.
  if (Number(answer.headers.get("content-length") ?? HEALTH_MAX_BYTES) > HEALTH_MAX_BYTES) {
    await answer.body?.cancel();
    return undefined;
  }
  try {
    return await answer.json();
  } catch {
    return undefined;
  }
}
