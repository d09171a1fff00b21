import { join } from "node:path";
import { fill } from "./hooks/fill.ts";
import { type Accepts, send } from "./hooks/load.ts";
import { QUICK, SENDERS, type Sizes, WHOLE } from "./hooks/limits.ts";
import { BenchRelay, cpuEach } from "./hooks/relay.ts";
import { alternate, type Figure, type Section, type Workload, type WorkloadOptions } from "./workload.ts";

/** What it costs to accept a webhook, and to deliver one. */
export const hooksRate = workload("hooks-rate", "Deliveries: accepting and delivering", (bench) => [
  () => bench.accept(),
  () => bench.deliver(),
]);

/** How a backlog is drained. */
export const hooksBacklog = workload("hooks-backlog", "Deliveries: a backlog", (bench) => [
  () => bench.drain(),
]);

/** How the cost grows with what is stored. */
export const hooksStored = workload("hooks-stored", "Deliveries: above many that are stored", (bench) => [
  () => bench.growth(),
]);

function workload(
  name: string,
  title: string,
  parts: (bench: HooksBench) => (() => Promise<Section>)[],
): Workload {
  return {
    name,
    title,
    async run(options) {
      const relay = await BenchRelay.start(options.dir);
      try {
        const sections: Section[] = [];
        for (const part of parts(new HooksBench(relay, options))) sections.push(await part());
        return { sections };
      } finally {
        await relay.stop();
      }
    },
  };
}

const SETUP =
  "Each event has a body of 1 kB, is proven by Standard Webhooks, known by its own id, and signed anew when it is delivered, to a target on the same machine that answers at once.";

class HooksBench {
  readonly #relay: BenchRelay;
  readonly #options: WorkloadOptions;
  readonly #sizes: Sizes;

  constructor(relay: BenchRelay, options: WorkloadOptions) {
    this.#relay = relay;
    this.#options = options;
    this.#sizes = options.quick ? QUICK : WHOLE;
  }

  /** Accepting alone: the route is paused, which keeps nothing from being accepted. */
  async accept(): Promise<Section> {
    const relay = this.#relay;
    await relay.addRoute("accept");
    await relay.pause("accept");
    await this.#warm("accept");
    const found = await alternate(this.#sizes.rounds, {
      "1 sender": () => this.#sendFor("accept", 1),
      [`${SENDERS} senders`]: () => this.#sendFor("accept", SENDERS),
    });
    this.#options.log("accepted");
    return {
      title: "Accepting",
      note: `${SETUP} Here it only waits: its route is paused. Times are from the call to its 202, which stands for what is on disk.`,
      figures: Object.entries(found).flatMap(([side, samples]) => acceptFigures(side, samples)),
    };
  }

  /** Delivering alone: what has been accepted while the route was paused. */
  async deliver(): Promise<Section> {
    const relay = this.#relay;
    const { rounds, deliveries } = this.#sizes;
    await relay.addRoute("deliver");
    await this.#warm("deliver");
    await relay.untilDrained("deliver");
    const rates: number[] = [];
    const cpus: { workerd: number; nodes: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      await relay.pause("deliver");
      await send(relay, "deliver", SENDERS, (count) => count < deliveries);
      const { perSecond, cpu } = await this.#drainOf("deliver", deliveries);
      rates.push(perSecond);
      cpus.push(cpu);
    }
    this.#options.log("delivered");
    const both = await this.#sendFor("deliver", SENDERS);
    await relay.untilDrained("deliver");
    return {
      title: "Delivering",
      note: `${deliveries} events that were accepted during a pause, from its end to the last one's delivery; both nodes take part.`,
      figures: [
        { what: "deliveries", unit: "/s", samples: rates },
        { what: "workerd, for each", unit: "ms of CPU", samples: cpus.map(({ workerd }) => workerd) },
        { what: "both nodes, for each", unit: "ms of CPU", samples: cpus.map(({ nodes }) => nodes) },
        {
          what: `accepts of ${SENDERS} senders while they are delivered`,
          unit: "/s",
          samples: [both.perSecond],
        },
      ],
    };
  }

  /** A backlog that waits when the edge starts, as after a night without nodes. */
  async drain(): Promise<Section> {
    const relay = this.#relay;
    const { backlog } = this.#sizes;
    await relay.addRoute("backlog");
    await relay.pause("backlog");
    await this.#warm("backlog");
    await relay.whileDown(() => this.#fill("backlog", "pending", backlog));
    this.#options.log(`filled with ${backlog}`);
    const { seconds, perSecond, cpu } = await this.#drainOf("backlog", backlog);
    this.#options.log("drained");
    return {
      title: `Draining a backlog of ${backlog.toLocaleString("en")}`,
      note: "It was put into the stores' files while the edge was down; then the route's pause is ended.",
      figures: [
        { what: "all of it", unit: "s", samples: [seconds] },
        { what: "deliveries", unit: "/s", samples: [perSecond] },
        { what: "workerd, for each", unit: "ms of CPU", samples: [cpu.workerd] },
        { what: "both nodes, for each", unit: "ms of CPU", samples: [cpu.nodes] },
      ],
    };
  }

  /** The same with more and more events that have been delivered and are kept, in turn. */
  async growth(): Promise<Section> {
    const relay = this.#relay;
    const { stored, rounds } = this.#sizes;
    const routes = stored.map((count) => ({ route: `stored-${count}`, count }));
    for (const { route } of routes) {
      await relay.addRoute(route);
      await this.#warm(route);
    }
    await relay.whileDown(async () => {
      for (const { route, count } of routes) {
        await this.#fill(route, "delivered", count);
        this.#options.log(`filled with ${count}`);
      }
    });
    // Each has been opened once before it is measured.
    for (const { route } of routes) await this.#warm(route);
    for (const { route } of routes) await relay.untilDrained(route);
    const found = await alternate(
      rounds,
      Object.fromEntries(routes.map(({ route }) => [route, () => this.#measureStored(route)])),
    );
    this.#options.log("measured what is stored");
    return {
      title: "With more and more stored",
      note: "Delivered events, over the 8 stores of a route: put into the stores' files through the stores' own classes by Node's SQLite while workerd was down. The routes are measured in turn.",
      figures: routes.flatMap(({ route, count }) => storedFigures(count.toLocaleString("en"), found[route]!)),
    };
  }

  async #measureStored(route: string): Promise<StoredSample> {
    const relay = this.#relay;
    await relay.pause(route);
    const accepts = await this.#sendFor(route, 1);
    const { perSecond, cpu } = await this.#drainOf(route, accepts.count);
    const timed = async (work: () => Promise<unknown>) => {
      const from = performance.now();
      await work();
      return performance.now() - from;
    };
    return {
      accepts,
      perSecond,
      workerd: cpu.workerd,
      listMs: await timed(() => relay.list(route, "?limit=100")),
      deadMs: await timed(() => relay.list(route, "?state=dead&limit=100")),
      countsMs: await timed(() => relay.counts(route)),
    };
  }

  #sendFor(route: string, senders: number): Promise<Accepts> {
    return send(this.#relay, route, senders, (_, ms) => ms < this.#sizes.sendMs);
  }

  /** Ends a pause, and waits until so many are delivered. */
  async #drainOf(route: string, count: number) {
    const relay = this.#relay;
    const before = relay.cpu();
    const from = performance.now();
    await relay.resume(route);
    await relay.untilDrained(route);
    const seconds = (performance.now() - from) / 1_000;
    return { seconds, perSecond: count / seconds, cpu: cpuEach(relay, before, count) };
  }

  /** So many that each store has one at least. */
  async #warm(route: string): Promise<void> {
    await send(this.#relay, route, SENDERS, (count) => count < WARMING);
  }

  #fill(route: string, state: "pending" | "delivered", count: number): Promise<void> {
    const storageKey = this.#relay.stack.keys.storageKeys;
    return fill(join(this.#options.dir, "edge/durable-objects"), {
      owner: `route:${route}`,
      state,
      count,
      storageKey,
    });
  }
}

const WARMING = 300;

interface StoredSample {
  readonly accepts: Accepts;
  readonly perSecond: number;
  readonly workerd: number;
  readonly listMs: number;
  readonly deadMs: number;
  readonly countsMs: number;
}

function acceptFigures(side: string, samples: readonly Accepts[]): Figure[] {
  const figure = (what: string, unit: string, of: (sample: Accepts) => number): Figure => ({
    what: `${side}: ${what}`,
    unit,
    samples: samples.map((sample) => of(sample)),
  });
  return [
    figure("accepts", "/s", ({ perSecond }) => perSecond),
    figure("p50", "ms", ({ p50 }) => p50),
    figure("p99", "ms", ({ p99 }) => p99),
    figure("workerd, for each", "ms of CPU", ({ cpu }) => cpu.workerd),
  ];
}

function storedFigures(stored: string, samples: readonly StoredSample[]): Figure[] {
  const figure = (what: string, unit: string, of: (sample: StoredSample) => number): Figure => ({
    what: `${stored}: ${what}`,
    unit,
    samples: samples.map((sample) => of(sample)),
  });
  return [
    figure("accept, p50", "ms", ({ accepts }) => accepts.p50),
    figure("accept, p99", "ms", ({ accepts }) => accepts.p99),
    figure("workerd, for each accept", "ms of CPU", ({ accepts }) => accepts.cpu.workerd),
    figure("deliveries", "/s", ({ perSecond }) => perSecond),
    figure("workerd, for each delivery", "ms of CPU", ({ workerd }) => workerd),
    figure("the latest 100, listed", "ms", ({ listMs }) => listMs),
    figure("the dead, listed", "ms", ({ deadMs }) => deadMs),
    figure("counts", "ms", ({ countsMs }) => countsMs),
  ];
}
