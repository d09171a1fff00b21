import { Pool } from "undici";
import { signed } from "../../test/chaos/hooks/standard-webhooks.ts";
import { percentile } from "../../test/chaos/ledger.ts";
import { BODY_BYTES } from "./limits.ts";
import { type BenchRelay, type Cpu, cpuEach } from "./relay.ts";

/** What came of sending for a while. */
export interface Accepts {
  readonly count: number;
  readonly perSecond: number;
  /** Milliseconds until the 202. */
  readonly p50: number;
  readonly p99: number;
  readonly cpu: Cpu;
}

let events = 0;

/**
 * So many senders send one event after the other, signed and each with an id of its own.
 * @param until whether to go on, after so many and so many milliseconds
 */
export async function send(
  relay: BenchRelay,
  route: string,
  senders: number,
  goesOn: (count: number, ms: number) => boolean,
): Promise<Accepts> {
  const pool = new Pool(relay.stack.edge, { connections: senders });
  const body = Buffer.alloc(BODY_BYTES, "x");
  const times: number[] = [];
  const before = relay.cpu();
  const started = performance.now();
  let begun = 0;
  const sender = async () => {
    while (goesOn(begun++, performance.now() - started)) {
      const from = performance.now();
      const { statusCode, body: answer } = await pool.request({
        path: `/hooks/${route}`,
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...signed(relay.secret, `evt-${process.pid}-${++events}`, body),
        },
        body,
      });
      const text = await answer.text();
      if (statusCode !== 202) throw new Error(`an event was answered with ${statusCode}: ${text}`);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  const seconds = (performance.now() - started) / 1_000;
  await pool.close();
  return {
    count: times.length,
    perSecond: times.length / seconds,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    cpu: cpuEach(relay, before, times.length),
  };
}
