import { load, type Load } from "../native.ts";
import type { Process } from "../processes.ts";
import { quietly } from "../quiet.ts";

/** What is measured, where it listens. */
export interface Side {
  readonly host: string;
  readonly port: number;
  /** Whose computing is told, by the names that it is told by. */
  readonly processes: Readonly<Record<string, Process>>;
}

/** What a number of requests came to. */
export interface Sample extends Pick<Load, "p50" | "p99"> {
  readonly perSecond: number;
  /** Microseconds of CPU for each request. */
  readonly cpu: Readonly<Record<string, number>>;
  /** The driver's share of its core. */
  readonly driver: number;
}

/** The body of each answer. */
export const ANSWER_BYTES = 1_000;

const LONGEST_S = 30;

/**
 * Sends the requests of a file, once each.
 * @throws Error where one was not answered by 200 with a body of the right length
 */
export async function sample(
  driver: string,
  side: Side,
  options: {
    readonly file: string;
    readonly connections: number;
    readonly log: (line: string) => void;
    /** Whether what was sent may be sent again where other work was in the way: not where somebody remembers it. */
    readonly isRepeatable: boolean;
  },
): Promise<Sample> {
  const { file, connections, log, isRepeatable } = options;
  const names = Object.keys(side.processes);
  const once = async () => {
    const before = names.map((name) => side.processes[name]!.cpuMs);
    const found = await load(driver, side, { connections, seconds: LONGEST_S, file });
    const { requests, seconds, cpuSeconds, bytes, broken, statuses, p50, p99 } = found;
    if (statuses["200"] !== requests || broken > 0 || bytes !== requests * ANSWER_BYTES) {
      throw new Error(`${requests} requests, ${bytes} bytes, ${broken} broken: ${JSON.stringify(statuses)}`);
    }
    const cpu = Object.fromEntries(
      names.map((name, index) => [name, ((side.processes[name]!.cpuMs - before[index]!) * 1_000) / requests]),
    );
    return { p50, p99, perSecond: requests / seconds, cpu, driver: cpuSeconds / seconds };
  };
  return isRepeatable ? quietly(log, once) : once();
}
