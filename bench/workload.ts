import type { Ratios } from "./goals.ts";

/** One figure, measured as often as there are samples. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  readonly samples: readonly number[];
}

/** Figures that belong together. */
export interface Section {
  readonly title: string;
  /** How they came about. */
  readonly note: string;
  readonly figures: readonly Figure[];
  /** Whether those of one unit are drawn beside each other. */
  readonly isDrawn?: boolean;
}

/** A program that the relay is measured against, or measured by. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** As it was configured, whole. */
  readonly config?: string;
}

/** What a workload found. */
export interface Findings {
  readonly sections: readonly Section[];
  /** Of the goals that it can tell of. */
  readonly ratios?: Ratios;
  readonly peers?: readonly Peer[];
  /** Peers that could not be had, and why. */
  readonly missing?: readonly { readonly name: string; readonly why: string }[];
}

/** How a workload is run. */
export interface WorkloadOptions {
  /** A share of it, to see that it works: its figures go into no document. */
  readonly quick: boolean;
  /** A folder of its own. */
  readonly dir: string;
  /** Says how far it is. */
  log(line: string): void;
}

/** What the bench runs; each has a file of its own. */
export interface Workload {
  readonly name: string;
  /** What it measures, in a line. */
  readonly title: string;
  run(options: WorkloadOptions): Promise<Findings>;
}

/**
 * Measures several sides in turn, so that what the machine does meanwhile comes upon all of them alike; every other round goes
 * backwards.
 *
 * @example await alternate(5, { old: () => measure(old), new: () => measure(next) })
 */
export async function alternate<Side extends string, Sample>(
  rounds: number,
  sides: Readonly<Record<Side, () => Promise<Sample>>>,
): Promise<Record<Side, Sample[]>> {
  const names = Object.keys(sides) as Side[];
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Side, Sample[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) samples[name].push(await sides[name]());
  }
  return samples;
}
