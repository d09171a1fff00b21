import { setTimeout as pause } from "node:timers/promises";
import { EXIT } from "../command.ts";
import { CLOSE_MS } from "./limits.ts";
import { relayFailure, startFailure, tell } from "./messages.ts";
import { accessRelay, type RelayAccess, type RelayAccessOptions } from "./relay-access.ts";
import { takeSignals } from "./signals.ts";

/** What serves until it is told to end. */
export interface Service {
  /** Written to stdout once it is ready. */
  readonly lines: readonly string[];
  readonly close: () => Promise<void>;
}

/**
 * Starts what goes by the relay, and serves until a signal comes, which ends it with 0, or until the relay refuses the token.
 *
 * @param start begins to serve
 * @returns the exit code
 */
export async function runService(
  options: Pick<RelayAccessOptions, "relayUrl" | "via" | "requireRelay">,
  start: (relay: RelayAccess) => Promise<Service>,
): Promise<number> {
  // Who reads its lines may go away, and its connections are needed still.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
  const signals = takeSignals();
  const { stopped } = signals;
  let relay: RelayAccess | undefined;
  let service: Service | undefined;
  try {
    relay = await accessRelay({ ...options, stopped, warn: tell });
    service = await start(relay);
    process.stdout.write(service.lines.map((line) => `${line}\n`).join(""));
    const ended = new Promise<undefined>((done) => {
      if (stopped.aborted) done(undefined);
      stopped.addEventListener("abort", () => done(undefined), { once: true });
    });
    const refusal = await Promise.race([ended, relay.refused]);
    if (refusal === undefined) return EXIT.ok;
    tell(`the relay refuses the token. ${relayFailure(refusal)}`);
    return EXIT.refused;
  } catch (error) {
    if (stopped.aborted) return EXIT.ok;
    const { line, code } = startFailure(error);
    tell(line);
    return code;
  } finally {
    relay?.close();
    await Promise.race([service?.close(), pause(CLOSE_MS, undefined, { ref: false })]);
    signals.release();
  }
}
