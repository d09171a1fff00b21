import { type ErrorCode, RelayError } from "../protocol/errors.ts";
import type { Cancel } from "./cancellation.ts";
import { CONNECT_STAGGER_MS } from "./limits.ts";
import type { Connection } from "./tcp/connection.ts";

/** Several ways to one connection. */
export interface ConnectFirstOptions<Candidate, Made extends Connection> {
  /** The target, for error messages: `api.bank.com port 443`. */
  readonly what: string;
  /** In order of preference; at least one. */
  readonly candidates: readonly Candidate[];
  /** Begins to connect, after so many tries of this very candidate. What it throws ends the whole dial. */
  readonly open: (candidate: Candidate, tried: number) => Made;
  /** Whether a failure says nothing of the candidate, which is opened again at once then. Never where left out. */
  readonly again?: ((error: NodeJS.ErrnoException, tried: number) => boolean) | undefined;
  /** For all of it, in milliseconds. */
  readonly deadlineMs: number;
  readonly signal?: Cancel | undefined;
}

/** The errors of a connect that say more than "failed". */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: "connect_refused",
  ETIMEDOUT: "connect_timeout",
};

/**
 * Connects to the first candidate that answers (RFC 8305): the next one starts when the last has had its
 * time, or at once when it fails. One that is opened again keeps its turn. When this settles, no socket but the winner is left.
 *
 * @throws RelayError `connect_refused`, `connect_timeout`, `connect_failed`, after the most preferred
 * candidate's failure; what `open` threw; or the signal's reason
 * @example
 * const open = (host: string) => connect({ host, port: 443 });
 * await connectFirst({ what: "api.bank.com port 443", candidates: ["192.0.2.1", "192.0.2.2"], open,
 * deadlineMs: 5_000 });
 */
export function connectFirst<Candidate, Made extends Connection>(
  options: ConnectFirstOptions<Candidate, Made>,
): Promise<{ readonly socket: Made; readonly candidate: Candidate }> {
  const { what, candidates, open, again, deadlineMs, signal } = options;
  return new Promise((resolve, reject) => {
    const pending = new Set<Made>();
    const failures: (NodeJS.ErrnoException | undefined)[] = candidates.map(() => undefined);
    let next = 0;
    let stagger: NodeJS.Timeout | undefined;

    const onAbort = () => fail(signal?.reason as Error);
    const deadline = setTimeout(() => {
      fail(new RelayError("connect_timeout", `${what}: no connection within ${deadlineMs} ms`));
    }, deadlineMs);
    signal?.addEventListener("abort", onAbort, { once: true });

    function settle(): void {
      clearTimeout(deadline);
      clearTimeout(stagger);
      signal?.removeEventListener("abort", onAbort);
      const losers = [...pending];
      // Emptied first: a socket that is no longer in here has no say any more.
      pending.clear();
      for (const socket of losers) socket.destroy();
    }

    function fail(error: Error): void {
      settle();
      reject(error);
    }

    function attempt(): void {
      clearTimeout(stagger);
      const index = next++;
      if (next < candidates.length) stagger = setTimeout(attempt, CONNECT_STAGGER_MS);
      begin(index, 0);
    }

    function begin(index: number, tried: number): void {
      const candidate = candidates[index]!;
      let socket: Made;
      try {
        socket = open(candidate, tried);
      } catch (error) {
        fail(
          error instanceof RelayError
            ? error
            : new RelayError("connect_failed", `${what}: the connection could not be opened`, {
                cause: error,
              }),
        );
        return;
      }
      pending.add(socket);
      const onError = (error: NodeJS.ErrnoException) => {
        if (!pending.delete(socket)) return;
        if (again?.(error, tried) === true) {
          begin(index, tried + 1);
          return;
        }
        failures[index] = error;
        if (next < candidates.length) attempt();
        else if (pending.size === 0) {
          fail(
            failureOf(
              what,
              failures.filter((failure) => failure !== undefined),
            ),
          );
        }
      };
      socket.on("error", onError);
      socket.on("connect", () => {
        if (!pending.delete(socket)) return;
        socket.off("error", onError);
        settle();
        resolve({ socket, candidate });
      });
    }

    attempt();
  });
}

function failureOf(what: string, failures: readonly NodeJS.ErrnoException[]): RelayError {
  const code = failures[0]?.code ?? "no code";
  const others = failures.length === 1 ? "" : `, and ${failures.length - 1} more addresses failed`;
  const cause =
    failures.length === 1
      ? failures[0]
      : new AggregateError(failures, `no address of ${what} could be reached`);
  return new RelayError(CODES[code] ?? "connect_failed", `${what}: ${code}${others}`, { cause });
}
