import type { Client } from "./clients.ts";
import type { Env } from "./edge.ts";
import type { EdgeClock } from "./timing.ts";

/** What each of the edge's routes finds in its context. */
export interface Hosting {
  Bindings: Env;
  Variables: {
    clock: EdgeClock;
    /** Who asks, once it is proven: what stands in its answer of its quota. */
    client?: Client;
  };
}
