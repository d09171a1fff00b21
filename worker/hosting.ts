import type { Env } from "./edge.ts";
import type { EdgeClock } from "./timing.ts";

/** What each of the edge's routes finds in its context. */
export interface Hosting {
  Bindings: Env;
  Variables: { clock: EdgeClock };
}
