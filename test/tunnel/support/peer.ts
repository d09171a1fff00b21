import { resolve } from "node:path";
import { startModule } from "../../support/module-on-host.ts";
import type { Question, Seen } from "../programs/peer-messages.ts";
import { HOSTS, SERVERS, WIRE } from "./hosts.ts";
import { until } from "./until.ts";

/** The peer on the database host: what came to it, and what it could send. */
export interface Peer {
  readonly pid: number;
  /** A connection, once there is one of this name and it is as wanted. */
  seen(name: string, deadlineMs: number, wanted?: (seen: Seen) => boolean): Promise<Seen>;
  /** How many connections are open. */
  open(): Promise<number>;
  /** Lets a stalled one read. */
  go(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it. */
export async function startPeer(): Promise<Peer> {
  const module = await startModule(WIRE, "db", resolve(import.meta.dirname, "../programs/peer.ts"), [
    HOSTS.db,
    String(SERVERS.peer.port),
    String(SERVERS.http.port),
  ]);
  const ask = <Answer>(question: Question) => module.ask<Answer>(question);
  return {
    pid: module.process.pid!,
    seen: (name, deadlineMs, wanted = () => true) =>
      until(`connection ${name} is as wanted`, deadlineMs, async () => {
        const seen = await ask<Seen | undefined>({ what: "seen", name });
        return seen !== undefined && wanted(seen) && seen;
      }),
    open: () => ask<number>({ what: "open" }),
    go: (name) => ask<void>({ what: "go", name }),
    stop: () => module.stop(),
  };
}
