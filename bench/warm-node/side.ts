import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { load, type Load, packed } from "../native.ts";
import type { Process } from "../processes.ts";
import { quietly } from "../quiet.ts";
import { type GrantMaker, type Method, plainRequest, writeGranted } from "./requests.ts";

/** One that is measured: where it takes requests, and of which form they are. */
export interface Side {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly urls: readonly string[];
  readonly form:
    | "path alone"
    /** The whole URL, as a forward proxy has it. */
    | "whole URL"
    | GrantMaker;
  /** Whose CPU is told; the target by itself has none here. */
  readonly pid?: number;
  /** What rests while others are measured. */
  readonly process?: Process;
}

/** One sample of one side. */
export interface Sample extends Load {
  /** Microseconds of CPU for each request. */
  readonly cpuEach: number;
  /** The driver's share of its core. */
  readonly driverShare: number;
}

/** How a sample is taken. */
export interface SampleOptions {
  readonly driver: string;
  readonly dir: string;
  readonly method: Method;
  readonly connections: number;
  readonly seconds: number;
  /** Requests that are not counted, besides one for each connection. */
  readonly skip?: number;
  log(line: string): void;
}

/** More than any side answers in a second. */
const RATE_MAX = { one: 9_000, many: 14_000 } as const;
const ANSWER_BYTES = 1_024;

/** @throws Error where an answer was not the right one, or the driver ran out of requests */
export function takeSample(side: Side, options: SampleOptions): Promise<Sample> {
  return quietly(
    (line) => options.log(line),
    () => sampleOf(side, options),
  );
}

async function sampleOf(side: Side, options: SampleOptions): Promise<Sample> {
  const { driver, dir, method, connections, seconds } = options;
  const { form, urls, host, port, tls, pid } = side;
  const file = join(dir, "requests");
  const skip = (options.skip ?? 0) + connections * 20;
  const isGranted = typeof form !== "string";
  if (isGranted) {
    const rate = connections === 1 ? RATE_MAX.one : RATE_MAX.many;
    await writeGranted(file, form, { method, urls, count: skip + Math.ceil(rate * seconds) });
  } else {
    const requests = urls.map((url) => {
      const { pathname, host: authority } = new URL(url);
      return plainRequest(method, form === "path alone" ? pathname : url, authority);
    });
    writeFileSync(file, packed(requests));
  }
  side.process?.thaw();
  try {
    const found = await load(
      driver,
      { host, port },
      { connections, seconds, file, repeat: !isGranted, tls, skip, ...(pid !== undefined && { watch: pid }) },
    );
    const { requests, statuses, bytes, cpuSeconds, watchedCpuSeconds } = found;
    const answers = Object.values(statuses).reduce((sum, count) => sum + count, 0);
    if (statuses["200"] !== answers || found.broken > 0 || bytes !== answers * ANSWER_BYTES) {
      throw new Error(`${side.name} answered ${JSON.stringify({ ...found })}`);
    }
    if (found.seconds < seconds * 0.95) throw new Error(`${side.name} had too few requests to answer`);
    return {
      ...found,
      cpuEach: (watchedCpuSeconds / requests) * 1e6,
      driverShare: cpuSeconds / found.seconds,
    };
  } finally {
    side.process?.freeze();
  }
}
