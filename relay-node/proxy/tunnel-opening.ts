import { RelayError, withReached } from "../../protocol/errors.ts";
import type { TunnelTarget } from "../../protocol/targets.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { Cancellation } from "../cancellation.ts";
import type { Dialed } from "../dialer.ts";
import { enter } from "../enter.ts";
import { reset } from "../reset.ts";
import type { Connection } from "../tcp/connection.ts";
import { StreamAccount } from "../stream-account.ts";
import type { Opening } from "../streams.ts";
import type { ProxyUser } from "./authorizer.ts";
import type { ProxyContext } from "./proxy-context.ts";
import type { WaitingUser } from "./waiting-user.ts";

/** The target's connection, and what came of the user before it stood. */
export interface OpenedTunnel {
  readonly dialed: Dialed<Connection>;
  readonly early: Buffer;
}

/**
 *   user ──CONNECT, SOCKS, connect-tcp──▶ authorize ▶ limits ▶ dial ──▶ the answer that the user waits for
 *
 * One tunnel on its way to being open, whatever it was asked for by. It is over when `open` settles, or by `abort`.
 */
export class TunnelOpening implements Opening {
  readonly kind = "tunnel";
  readonly account: StreamAccount;
  readonly #context: ProxyContext;
  readonly #onKnown: (() => void) | undefined;
  readonly #gone = new Cancellation();

  /** @param onKnown called once the user's credentials were found good */
  constructor(context: ProxyContext, onKnown?: () => void) {
    this.#context = context;
    this.#onKnown = onKnown;
    this.account = new StreamAccount(context.node.config, "proxy");
  }

  /**
   * Judges and dials, for a user whose connection waits meanwhile.
   *
   * @returns the connection, and what the user has said already
   * @throws RelayError as the authorizer, the client's limits and the dialer, `node_draining`, `node_out_of_service`,
   *   `node_full`, and what `abort` was given; the account has been told of it
   */
  async open(waiting: WaitingUser, user: ProxyUser, target: TunnelTarget): Promise<OpenedTunnel> {
    const dialed = await this.#context.streams.opening(this, () => this.#open(user, target, waiting.isBare));
    const early = waiting.release();
    if (!waiting.isGone) return { dialed, early };
    reset(dialed.socket);
    throw wentAway();
  }

  is(): boolean {
    return false;
  }

  abort(error: RelayError): void {
    this.#gone.abort(error);
  }

  /** The user went away. */
  readonly onGone = (): void => this.abort(wentAway());

  async #open(user: ProxyUser, to: TunnelTarget, isBare: boolean): Promise<Dialed<Connection>> {
    const { node, streams, authorizer } = this.#context;
    const { account } = this;
    const gone = this.#gone;
    const { host, port, authority } = to;
    const target = `tcp://${authority}`;
    node.assertServing(true);
    streams.assertRoom(this.kind);
    const { grant } =
      authorizer.remembered?.(user, target) ?? (await authorizer.authorize(user, target, gone.signal));
    this.#onKnown?.();
    const { sub, limits } = grant;
    account.claims = {
      jti: newRequestId(),
      sub,
      htm: "CONNECT",
      url: target,
      ...(limits !== undefined && { limits }),
    };
    // What was asked for may have taken its time.
    gone.throwIfAborted();
    node.assertServing(true);
    account.slot = enter(node, grant, "stream", (error) => this.abort(withReached(error, "no")));
    account.lap("node_queue");
    account.host = authority;
    const dial = { host, port, onStage: account.onStage };
    const dialed: Dialed<Connection> = isBare
      ? await node.dialer.dialBare({ ...dial, signal: gone })
      : await node.dialer.dial({ ...dial, signal: gone.signal, tls: false, allowHalfOpen: true });
    account.connected(dialed, false);
    if (!gone.aborted) return dialed;
    dialed.socket.destroy();
    throw gone.reason!;
  }

  /** No tunnel comes of it: the slot is given back, and it is written down. */
  refused(error: RelayError): void {
    this.account.error = error;
    this.account.failed();
    this.#context.streams.refused(this.account);
  }
}

function wentAway(): RelayError {
  return new RelayError("stream_cancelled", "the user went away", { reached: "no" });
}
