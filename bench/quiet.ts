import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { computedMs } from "./machine.ts";
import { treeOf } from "./processes.ts";

/** What other work may take of one core while a sample is taken, and how often one is taken again. */
const OTHERS_MAX = 0.08;
const TRIES = 4;
const BETWEEN_MS = 500;
/** The system counts by ticks of 10 ms, on each core: less than so much may be nothing. */
const TOLD_MS = 50;
const TICKS_PER_SECOND = 100;

/**
 * Takes a sample, and takes it again where other work on the machine took more than a twelfth of a core meanwhile: whatever
 * this process and those below it didn't compute. The last try counts whatever it was.
 */
export async function quietly<Sample>(
  log: (line: string) => void,
  sample: () => Promise<Sample>,
): Promise<Sample> {
  for (let tries = 1; ; tries++) {
    const began = performance.now();
    const before = otherMs();
    const taken = await sample();
    const others = otherMs() - before;
    const share = others / (performance.now() - began);
    if (share <= OTHERS_MAX || others < TOLD_MS) return taken;
    const told = `other work took ${Math.round(share * 100)} % of a core`;
    if (tries === TRIES) {
      log(`${told}: kept`);
      return taken;
    }
    log(`${told}: taken again`);
    await sleep(BETWEEN_MS);
  }
}

/** What everything but the bench has computed, in milliseconds. What of the bench has ended is in its parents. */
function otherMs(): number {
  // Interrupts are mostly the loopback's, of the very bytes that are measured, and no process has them.
  const [, user, nice, system] = readFileSync("/proc/stat", "utf8").split("\n")[0]!.split(/\s+/).map(Number);
  const busy = ((user! + nice! + system!) / TICKS_PER_SECOND) * 1_000;
  const ours = treeOf(process.pid).reduce((sum, pid) => sum + computedMs(pid), 0);
  return busy - ours;
}
