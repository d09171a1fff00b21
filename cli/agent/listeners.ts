import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { isRelayError } from "../../client/index.ts";
import { ERRORS, isErrorCode } from "../../protocol/errors.ts";
import { rootCause } from "../report.ts";
import { bindAll } from "./bind.ts";
import { authorityOf, type Destination } from "./destinations.ts";
import { FirstBytes } from "./first-bytes.ts";
import { DESTINATION_CONNECTIONS_MAX, DRAIN_POLL_MS, DRAIN_STILL_MS, FAILURE_LINE_MS } from "./limits.ts";
import { relayDetail } from "./messages.ts";
import type { Connecting, Opener } from "../../client/node/opener.ts";
import { reset } from "../../client/node/reset.ts";
import { splice } from "../../client/node/splice.ts";

/** Where a destination is to be found on this machine. */
export interface Route {
  readonly destination: Destination;
  readonly address: string;
  readonly port: number;
}

/** What became of a destination's connections so far. */
export interface RouteState extends Route {
  /** Connections that are open or being opened. */
  readonly open: number;
  readonly opened: number;
  readonly failed: number;
  /** The last failure to open one, with its code where the relay told it. */
  readonly lastError: { readonly code: string | undefined; readonly detail: string } | undefined;
}

/** Servers whose every connection goes on through the relay. */
export interface Listeners {
  readonly routes: readonly Route[];
  readonly state: () => RouteState[];
  /** Resolves once no connection is open, or nothing has moved for a while in those that are. */
  readonly drained: () => Promise<void>;
  /** Listens no more, and resets what is open. */
  readonly close: () => Promise<void>;
}

/** How listeners tell what fails, and what they hold to. */
export interface ListenerOptions {
  /** Gets a line for the log, without its line break. */
  readonly log: (line: string) => void;
  readonly connectionsMax?: number;
  /** Milliseconds since any fixed point. */
  readonly now?: () => number;
}

/**
 * Listens for every destination on a loopback address of its host's own.
 *
 * @throws AgentError where an address or a port can't be had
 * @example const { routes } = await startListeners(settings.destinations, open, { log: console.error });
 */
export async function startListeners(
  destinations: readonly Destination[],
  open: Opener,
  { log, connectionsMax = DESTINATION_CONNECTIONS_MAX, now = () => performance.now() }: ListenerOptions,
): Promise<Listeners> {
  const doors = new Map<Destination, Door>();
  const bound = await bindAll(destinations, (destination) => {
    const door = new Door(destination, open, log, now);
    doors.set(destination, door);
    // Paused: what a client sends before the other end is open waits in the kernel.
    const server = net.createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
      (socket) => void door.serve(socket),
    );
    server.maxConnections = connectionsMax;
    server.on("drop", () => door.failed(undefined, `more than ${connectionsMax} connections at once`));
    return server;
  });
  const routes = bound.map(({ destination, address, port }) => ({ destination, address, port }));
  return {
    routes,
    state: () => routes.map((route) => Object.assign({}, route, doors.get(route.destination)!.state())),
    drained: () => drained([...doors.values()]),
    close: async () => {
      const closed = bound.map(({ server }) => new Promise((resolve) => server.close(resolve)));
      for (const door of doors.values()) door.end();
      await Promise.all(closed);
    },
  };
}

/** Looks on until all is over, or stands still. */
async function drained(doors: readonly Door[]): Promise<void> {
  let bytes = -1;
  for (let still = 0; still < DRAIN_STILL_MS; still += DRAIN_POLL_MS) {
    // First of all for those that are about to be accepted.
    await pause(DRAIN_POLL_MS);
    if (doors.every((door) => door.state().open === 0)) return;
    const now = doors.reduce((sum, door) => sum + door.bytes, 0);
    if (now !== bytes) still = 0;
    bytes = now;
  }
}

/** One destination's connections. */
class Door {
  readonly #destination: Destination;
  readonly #open: Opener;
  readonly #log: (line: string) => void;
  readonly #now: () => number;
  readonly #ended = new AbortController();
  readonly #sockets = new Set<net.Socket>();
  #opened = 0;
  #failures = 0;
  #lastError: RouteState["lastError"];
  /** When a failure was last told, and how many were not since. */
  #told = -Infinity;
  #untold = 0;

  constructor(destination: Destination, open: Opener, log: (line: string) => void, now: () => number) {
    this.#destination = destination;
    this.#open = open;
    this.#log = log;
    this.#now = now;
  }

  state(): Omit<RouteState, keyof Route> {
    return {
      open: this.#sockets.size,
      opened: this.#opened,
      failed: this.#failures,
      lastError: this.#lastError,
    };
  }

  /** What has moved in the connections that are open. */
  get bytes(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesRead + socket.bytesWritten, 0);
  }

  end(): void {
    this.#ended.abort(new Error("the agent is ending"));
    for (const socket of this.#sockets) reset(socket);
  }

  async serve(socket: net.Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    try {
      const { host, port } = this.#destination;
      const first = new FirstBytes(socket);
      const early = (connecting: Connecting) => first.sendTo(connecting);
      const far = await this.#open({ host, port, signal: this.#ended.signal, early });
      this.#opened += 1;
      far.once("error", (error) => this.#cut(error));
      first.passOn(far);
      await splice(socket, far);
    } catch (error) {
      reset(socket);
      if (!this.#ended.signal.aborted) this.failed(...describe(error));
    } finally {
      this.#sockets.delete(socket);
    }
  }

  failed(code: string | undefined, detail: string): void {
    this.#failures += 1;
    this.#lastError = { code, detail };
    this.#tell("no connection", code, detail);
  }

  /** An open connection was broken off. That targets and programs do so is nothing special. */
  #cut(error: unknown): void {
    if (this.#ended.signal.aborted || !isRelayError(error)) return;
    if (error.code === "target_reset" || error.code === "stream_cancelled") return;
    this.#lastError = { code: error.code, detail: error.detail };
    this.#tell("a connection was cut", error.code, error.detail);
  }

  #tell(what: string, code: string | undefined, detail: string): void {
    if (this.#now() - this.#told < FAILURE_LINE_MS) {
      this.#untold += 1;
      return;
    }
    const mend = code !== undefined && isErrorCode(code) ? ` ${ERRORS[code].mend}` : "";
    const more = this.#untold === 0 ? "" : ` (and ${this.#untold} more since the last line)`;
    const why = code === undefined ? detail : `${code}: ${detail}`;
    this.#log(`${authorityOf(this.#destination)}: ${what}: ${why}.${mend}${more}`);
    this.#told = this.#now();
    this.#untold = 0;
  }
}

function describe(error: unknown): [code: string | undefined, detail: string] {
  if (isRelayError(error)) return [error.code, relayDetail(error)];
  return [undefined, error instanceof Error ? rootCause(error) : String(error)];
}
