import { isRelayError, type RelayError } from "../../client/index.ts";
import { relayFailure } from "./messages.ts";
import type { Opener } from "../../client/node/opener.ts";
import { patientOpener } from "./patient-opener.ts";
import { awaitRelay, watchRefusals } from "./refusal-watch.ts";
import { checkRelay } from "./relay-check.ts";
import { openerOf } from "../../client/node/opener.ts";
import { createSockets } from "../../client/node/sockets.ts";
import type { StreamTarget } from "../../client/stream-session.ts";
import type { Via } from "../../client/node/via.ts";

/** How the relay is come to. */
export interface RelayAccessOptions {
  /** As HOLDFAST_URL holds it. */
  readonly relayUrl: string;
  /** How nodes are come to. */
  readonly via: Via;
  /** Whether it is a failure that the relay can't be reached at the start. */
  readonly requireRelay: boolean;
  readonly stopped: AbortSignal;
  /** Gets what goes wrong, and that it is well again, a line at a time. */
  readonly warn: (line: string) => void;
}

/** A relay that takes this client's token, as far as anybody knows. */
export interface RelayAccess {
  /** Tries again what fails by a fault that may pass. */
  readonly open: Opener;
  /** Expects connections to a target: a path is opened ahead of the first one, and of others while there are any. */
  readonly expect: (target: StreamTarget) => void;
  /** Resolves once what was written to connections that are closed by now has arrived, or never will. */
  readonly settled: () => Promise<void>;
  /** Resolves when the relay refuses the client's token; never where it doesn't. */
  readonly refused: Promise<RelayError>;
  /** Asks no more. */
  readonly close: () => void;
}

/**
 * Makes sure that the relay takes the token, and watches from then on. A relay that can't be reached is asked until it can.
 *
 * @throws RelayError a refusal, or why the relay can't be reached where it is required; the signal's reason
 */
export async function accessRelay(options: RelayAccessOptions): Promise<RelayAccess> {
  const { relayUrl, via, requireRelay, stopped, warn } = options;
  const sockets = createSockets(relayUrl, { via });
  const plain = openerOf(sockets);
  const ended = new AbortController();
  const { promise: refused, resolve: refuse } = Promise.withResolvers<RelayError>();
  const verdict = await checkRelay(plain, stopped);
  if (verdict.kind !== "accepted") {
    if (verdict.kind === "refused" || requireRelay) throw verdict.error;
    warn(`the relay can't be reached, and is tried again. ${relayFailure(verdict.error)}`);
    awaitRelay(plain, ended.signal).then(
      (later) => {
        if (later.kind === "accepted") warn("the relay is reached now");
        if (later.kind === "refused") refuse(later.error);
      },
      () => {},
    );
  }
  return {
    open: patientOpener(watchRefusals(plain, refuse)),
    expect: (target) => {
      try {
        ended.signal.addEventListener("abort", sockets.expect(target), { once: true });
      } catch (error) {
        // Whoever connects to it is told.
        if (!isRelayError(error)) throw error;
      }
    },
    settled: sockets.settled,
    refused,
    close: () => ended.abort(),
  };
}
