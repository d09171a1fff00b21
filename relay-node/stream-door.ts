import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { RelayError, withReached } from "../protocol/errors.ts";
import { type GrantClaims, verifyGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { STREAM_PROTOCOL } from "../protocol/stream-messages.ts";
import { parseTunnelUrl, type TunnelTarget } from "../protocol/targets.ts";
import { markFields, writeRawFailure } from "./answer.ts";
import { consumedId } from "./begin.ts";
import type { NodeContext } from "./context.ts";
import type { Dialed } from "./dialer.ts";
import { enter } from "./enter.ts";
import { asRelayError } from "./failure.ts";
import { checkHandshake, UPGRADE_FIELDS } from "./handshake.ts";
import type { HeldStream } from "./held-stream.ts";
import { STREAM_EARLY_BYTES } from "./limits.ts";
import { StreamAccount } from "./stream-account.ts";
import type { UpgradedSocket } from "./stream-connection.ts";
import type { Streams } from "./streams.ts";
import { switchingLines } from "./websocket/server-socket.ts";

/**
 *   edge or client ──GET /stream, Upgrade, grant──▶ judge ▶ consume id ▶ dial ▶ 101 ▶ stream
 *                                                     ├──────────────────▶ or take over one that stands
 *                                                     └──────────────────▶ or wait for the word to dial
 *
 * Who brings a grant is believed what stands in the grant, and nothing else that it says: the edge brings it, or a client that
 * the edge gave it to.
 *
 * One instance serves one request to upgrade. Until the target is connected it can fail, and then answers as any door does.
 */
export class StreamDoor {
  readonly kind = "stream";
  readonly #node: NodeContext;
  readonly #streams: Streams;
  readonly #request: IncomingMessage;
  readonly #socket: Duplex;
  readonly #account: StreamAccount;
  readonly #gone = new AbortController();
  #claims: GrantClaims | undefined;
  #target: TunnelTarget | undefined;
  readonly #early: Buffer[];
  #earlyBytes: number;

  constructor(node: NodeContext, streams: Streams, request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.#node = node;
    this.#streams = streams;
    this.#request = request;
    this.#socket = socket;
    this.#account = new StreamAccount(node.config);
    this.#early = [head];
    this.#earlyBytes = head.length;
  }

  async serve(): Promise<void> {
    // Who is read is also heard to leave.
    this.#socket.on("data", this.#onEarly).on("end", this.#onGone).on("close", this.#onGone);
    this.#socket.on("error", this.#onGone);
    try {
      const offered = checkHandshake(this.#request);
      await this.#judge();
      const isHeld = offered.includes(STREAM_PROTOCOL);
      if (this.#claims!.resume !== undefined) this.#resume(isHeld);
      else if (this.#claims!.park === true) this.#park(isHeld);
      else await this.#open(isHeld);
    } catch (error) {
      this.#refuse(asRelayError(error));
    }
  }

  /** Whether this is the request of that client and id. */
  is(clientId: string, requestId: string): boolean {
    const claims = this.#claims;
    return claims?.sub === clientId && claims.jti === requestId;
  }

  /** Gives it up, as when the node has to go. */
  abort(error: RelayError): void {
    this.#gone.abort(error);
  }

  async #judge(): Promise<void> {
    const { config, grantKeys } = this.#node;
    const grant = this.#request.headers[WIRE.authorization] as string | undefined;
    const context = { edge: config.edge, nodeId: config.id, keys: grantKeys, now: this.#node.now() };
    const claims = verifyGrant(grant, context, "stream");
    this.#claims = claims;
    this.#account.claims = claims;
    this.#target = parseTunnelUrl(claims.url);
    this.#gone.signal.throwIfAborted();
  }

  async #open(isHeld: boolean): Promise<void> {
    const account = this.#account;
    const claims = this.#claims!;
    const { dialer } = this.#node;
    const { host, port } = this.#target!;
    this.#node.assertServing(true);
    this.#streams.assertRoom(this.kind);
    account.slot = enter(this.#node, claims, "stream", (error) => this.abort(withReached(error, "no")));
    this.#consume();
    const dialed = await dialer.dial({
      host,
      port,
      tls: false,
      allowHalfOpen: true,
      signal: this.#gone.signal,
      onStage: account.onStage,
    });
    account.connected(dialed, false);
    const upgraded = this.#upgrade(isHeld, dialed);
    if (isHeld) this.#streams.openHeld(account, dialed, upgraded);
    else this.#streams.openRaw(account, dialed, upgraded);
  }

  /** The dial comes later, if it comes: what is looked at here is looked at again by then. */
  #park(isHeld: boolean): void {
    const account = this.#account;
    const claims = this.#claims!;
    const node = this.#node;
    if (!isHeld) throw new RelayError("request_invalid", `a stream is parked under ${STREAM_PROTOCOL} alone`);
    node.assertServing(true);
    this.#streams.assertParkingRoom();
    const slot = enter(node, claims, "parked", (error) => this.abort(withReached(error, "no")));
    account.slot = slot;
    this.#consume();
    const upgraded = this.#upgrade(true);
    this.#streams.park({ node, streams: this.#streams, claims, target: this.#target!, slot }, upgraded);
  }

  /**
   * Nothing is begun by it, so that a node takes it that begins nothing; and its client's rate does not refuse it, since what
   * runs must not die of its client's haste: each stream has a measure of its own. It takes the place of what the client has already.
   */
  #resume(isHeld: boolean): void {
    const account = this.#account;
    const claims = this.#claims!;
    const { resume } = claims;
    this.#node.revocations.assertStands(claims);
    if (!isHeld) throw new RelayError("request_invalid", `a stream goes on under ${STREAM_PROTOCOL} alone`);
    const stream: HeldStream = this.#streams.find(claims, this.#target!);
    stream.admitResume();
    this.#consume();
    stream.checkResume(resume!);
    account.egress = stream.account.egress;
    const upgraded = this.#upgrade(true);
    // Whoever carries it on answers for it now.
    stream.account.slot?.standing?.renew(claims);
    this.#streams.resumed(stream.account);
    stream.connect(upgraded, resume!.received);
  }

  #consume(): void {
    const claims = this.#claims!;
    this.#node.consumed.consume(consumedId(claims), claims, claims.tat, this.#node.now());
    this.#account.lap("node_queue");
  }

  /** Answers 101, in one turn. */
  #upgrade(isHeld: boolean, dialed?: Dialed): UpgradedSocket {
    const { signal } = this.#gone;
    const wire = this.#socket;
    if (!signal.aborted && wire.readable && wire.writable) {
      this.#letGo();
      wire.pause();
      const status = this.#claims!.park === true ? "parked" : "target";
      const fields = [WIRE.status, status, ...markFields(this.#account.marks)];
      const lines = switchingLines(
        this.#request.headers["sec-websocket-key"]!,
        isHeld ? STREAM_PROTOCOL : undefined,
      );
      for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]!}: ${fields[i + 1]!}`);
      wire.write(`${lines.join("\r\n")}\r\n\r\n`);
      return { wire, head: Buffer.concat(this.#early) };
    }
    dialed?.socket.destroy();
    throw signal.aborted ? signal.reason : gone();
  }

  #refuse(error: RelayError): void {
    const account = this.#account;
    account.error = error;
    account.failed();
    this.#letGo();
    this.#streams.refused(account);
    if (!this.#socket.writable) {
      this.#socket.on("error", () => {}).destroy();
      return;
    }
    writeRawFailure(
      this.#socket,
      error,
      account.marks,
      error.code === "upgrade_required" ? UPGRADE_FIELDS : [],
    );
  }

  #letGo(): void {
    this.#socket.off("data", this.#onEarly).off("end", this.#onGone).off("close", this.#onGone);
    this.#socket.off("error", this.#onGone);
  }

  readonly #onEarly = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes > STREAM_EARLY_BYTES) {
      this.abort(new RelayError("request_invalid", "too much came before the answer to the upgrade"));
    }
  };

  readonly #onGone = (): void => this.abort(gone());
}

function gone(): RelayError {
  return new RelayError("answer_cut", "the caller went away", { reached: "no" });
}
