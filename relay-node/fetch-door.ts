import type { IncomingMessage, ServerResponse } from "node:http";
import type { Dispatcher } from "undici";
import { checkRequestFields, type ResponseHead, sectionFromWire } from "../protocol/envelope.ts";
import { isRelayError, RelayError, withReached } from "../protocol/errors.ts";
import { type GrantClaims, verifyGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseTargetUrl, type TargetUrl } from "../protocol/targets.ts";
import type { Framing } from "../protocol/claims.ts";
import { writeAnswerHead, writeFailure } from "./answer.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { Lease } from "./connections.ts";
import type { NodeContext } from "./context.ts";
import { type AnswerSink, Exchange, isRepeatable } from "./exchange.ts";
import { asRelayError } from "./failure.ts";
import { forHttp2 } from "./http2-request.ts";
import { LATE_UPLOAD_MS } from "./limits.ts";
import type { Outcome } from "./outcome.ts";
import { hasBody, RequestBody } from "./request-body.ts";
import { beginBody, dispatchOptions } from "./begin.ts";

/**
 *   edge ──POST /fetch, grant, envelope, body──▶ judge ▶ consume id ▶ connection ▶ target
 *   edge ◀──marks, envelope, body────────────────────────────────────◀ exchange ◀─┘
 *
 * One instance serves one request. Nothing is dialled before the grant, the fields, the framing and (of a small signed
 * body) the digest have been judged and the request's id is consumed.
 */
export class FetchDoor implements AnswerSink {
  readonly #node: NodeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #outcome: Outcome;
  readonly #gone = new AbortController();
  #claims: GrantClaims | undefined;
  #plan: Plan | undefined;
  #lease: Lease | undefined;
  #exchange: Exchange | undefined;
  #slot: ClientSlot | undefined;
  /** The answer's body waits: for its reader, or for the client's share of bytes. */
  #rests = false;
  #isClosed = false;
  #wasReused = false;
  /** The first of two attempts may have reached the target. */
  #sentBefore = false;

  constructor(node: NodeContext, request: IncomingMessage, response: ServerResponse, outcome: Outcome) {
    this.#node = node;
    this.#request = request;
    this.#response = response;
    this.#outcome = outcome;
  }

  async serve(): Promise<void> {
    this.#response.on("drain", () => this.#goOn());
    this.#response.on("close", () => {
      if (this.#response.writableFinished) return;
      const reached = this.#exchange === undefined ? "no" : "yes";
      this.abort(new RelayError("answer_cut", "the caller went away", { reached }));
    });
    try {
      const claims = await this.#judge();
      const target = parseTargetUrl(claims.url);
      const fields = sectionFromWire((name) => this.#request.headers[name] as string | undefined);
      checkRequestFields(fields);
      const body = await beginBody(this.#node, this.#request, claims, this.#slot!);
      this.#outcome.lap("node_queue");
      this.#outcome.body = body;
      this.#plan = {
        clientId: claims.sub,
        target,
        framing: claims.framing,
        body,
        options: dispatchOptions(claims, target, fields.flat(), body),
        repeatable: isRepeatable(claims.htm, body !== null),
        attempts: 0,
      };
      await this.#attempt(this.#plan);
    } catch (error) {
      this.fail(asRelayError(error));
    }
  }

  /** Whether this is the request of that client and id. */
  is(clientId: string, requestId: string): boolean {
    return this.#claims?.sub === clientId && this.#claims.jti === requestId;
  }

  /** Whether the target can have seen anything of the request. */
  get hasSent(): boolean {
    return this.#sentBefore || this.#exchange?.sent === true;
  }

  /** Ends the exchange with a typed error, as when the node has to go. */
  abort(error: RelayError): void {
    this.#outcome.error ??= error;
    this.#gone.abort(error);
    this.#exchange?.abort(error);
  }

  head(head: ResponseHead): void {
    this.#outcome.lap("target");
    const headOnly = this.#request.headers[WIRE.envelope] !== "1";
    // A head and a short body that came together leave together: killed in between, the node would have answered in part.
    const { socket } = this.#response;
    socket?.cork();
    process.nextTick(() => socket?.uncork());
    try {
      const marks = { ...this.#outcome.marks, receipt: this.#receipt(head) };
      writeAnswerHead(this.#response, head, this.#claims!.htm, marks, headOnly);
    } catch (error) {
      this.#exchange?.abort(asAnswerError(error));
    }
  }

  write(chunk: Buffer): boolean {
    const hasRoom = this.#response.write(chunk);
    const inDebt = this.#slot!.spend(chunk.length);
    this.#rests = inDebt || !hasRoom;
    return !this.#rests;
  }

  isUnread(): boolean {
    return this.#response.writableNeedDrain;
  }

  /** Nothing more will happen: the client's slot is free, whatever the end was. */
  close(): void {
    this.#isClosed = true;
    this.#slot?.leave();
  }

  #goOn(): void {
    if (!this.#rests || this.isUnread() || this.#slot!.inDebt) return;
    this.#rests = false;
    this.#exchange?.resume();
  }

  end(): void {
    const body = this.#plan?.body;
    if (body instanceof RequestBody && !body.ended) {
      // The answer is whole before its request. What is still to come is read and dropped: closing on it could cut the answer.
      if (this.#lease?.dialed.alpn === "h2") this.#lease.cut();
      body.destroy();
      this.#dropRest();
    }
    this.#release();
    this.#response.end();
  }

  fail(error: RelayError): void {
    const plan = this.#plan;
    // Node can't reset an HTTP/2 stream in mid-upload: it ends it, or says nothing. So the connection goes, which is why an
    // upload has one for itself.
    if (plan?.body instanceof RequestBody && this.#lease?.dialed.alpn === "h2") this.#lease.cut();
    this.#release();
    if (plan !== undefined && this.#mayRepeat(plan, error)) {
      this.#sentBefore = this.hasSent;
      this.#attempt(plan).catch((next: unknown) => this.fail(asRelayError(next)));
      return;
    }
    // A second attempt that reached nobody doesn't tell what became of the first.
    this.#answerFailure(this.#sentBefore && error.reached === "no" ? withReached(error, "unknown") : error);
  }

  #answerFailure(error: RelayError): void {
    const plan = this.#plan;
    this.#outcome.error ??= error;
    this.#outcome.failed();
    if (plan?.body instanceof RequestBody) plan.body.destroy();
    if (this.#response.headersSent) this.#response.destroy();
    else if (!this.#response.destroyed) {
      writeFailure(this.#response, error, this.#outcome.marks);
      if (this.#request.complete) return;
      // What is left of a stranger's upload is not worth reading. The edge is to see the answer, so that it asks another node.
      if (this.#claims === undefined) this.#response.once("finish", () => this.#request.destroy());
      else this.#dropRest();
    }
  }

  #dropRest(): void {
    this.#request.resume();
    const timer = setTimeout(() => this.#request.destroy(), LATE_UPLOAD_MS);
    this.#request.once("close", () => clearTimeout(timer));
  }

  async #judge(): Promise<GrantClaims> {
    const { config, grantKeys } = this.#node;
    const claims = await verifyGrant(this.#request.headers[WIRE.authorization] as string | undefined, {
      edge: config.edge,
      nodeId: config.id,
      keys: grantKeys,
      now: this.#node.now(),
    });
    this.#claims = claims;
    this.#outcome.claims = claims;
    // A body without a tail passes through the edge, which keeps nothing of it.
    this.#node.assertServing(claims.tail !== undefined || !hasBody(this.#request));
    // A slot that is taken after the end would never be left.
    if (this.#isClosed) throw new RelayError("answer_cut", "the caller went away", { reached: "no" });
    const slot = this.#node.limits.enter(claims.sub, claims.limits, claims.iat);
    slot.onPaid = () => {
      if (this.#outcome.body instanceof RequestBody) this.#outcome.body.goOn();
      this.#goOn();
    };
    this.#slot = slot;
    return claims;
  }

  async #attempt(plan: Plan): Promise<void> {
    const { connections } = this.#node;
    const { clientId, target, repeatable, body } = plan;
    const { signal } = this.#gone;
    const { onStage } = this.#outcome;
    this.#lease =
      plan.attempts++ === 0
        ? await connections.lease(
            clientId,
            target,
            { repeatable, exclusive: body instanceof RequestBody },
            signal,
            onStage,
          )
        : await connections.leaseFresh(clientId, target, signal, onStage);
    this.#outcome.connected(this.#lease.dialed, this.#lease.reused);
    if (signal.aborted) throw signal.reason;
    const exchange = new Exchange(this, body instanceof RequestBody ? body : undefined);
    this.#exchange = exchange;
    this.#outcome.exchange = exchange;
    const isHttp2 = this.#lease.dialed.alpn === "h2";
    // Heard before the stream over it, which would end the body as it is destroyed.
    if (isHttp2 && body instanceof RequestBody) {
      // Its head has left before the first byte of a body, unlike with HTTP/1.
      body.once("error", (error) => exchange.abort(withReached(asRelayError(error), "yes")));
    }
    this.#lease.send(isHttp2 ? forHttp2(plan.options) : plan.options, plan.framing, exchange);
  }

  /**
   * A warm connection that its target closed a moment ago shows only when it is used. What was not sent at all, or is safe
   * to repeat, and has no body that could be gone, goes once more over a new one.
   */
  #mayRepeat({ repeatable, attempts, body }: Plan, error: RelayError): boolean {
    const isUnsent = this.#exchange?.sent === false && !(body instanceof RequestBody);
    return (
      (isUnsent || (repeatable && error.code === "target_closed")) &&
      attempts === 1 &&
      this.#wasReused &&
      !this.#response.headersSent &&
      !this.#gone.signal.aborted
    );
  }

  #release(): void {
    this.#wasReused = this.#lease?.reused ?? this.#wasReused;
    this.#lease?.release();
    this.#lease = undefined;
  }

  #receipt(head: ResponseHead): string | undefined {
    const grant = this.#claims!;
    if (grant.receipt !== true) return undefined;
    const { egress, bytesUp } = this.#outcome;
    const { dialed } = this.#lease!;
    return this.#node.receipts.sign({
      grant,
      dialed,
      egress: egress!,
      head,
      bytesUp,
      now: this.#node.now(),
    });
  }
}

/** What is to be done, once it may be. */
interface Plan {
  readonly clientId: string;
  readonly target: TargetUrl;
  readonly framing: Framing;
  readonly body: Buffer | RequestBody | null;
  readonly options: Dispatcher.DispatchOptions;
  readonly repeatable: boolean;
  attempts: number;
}

/** What is wrong with an answer's head is told by the codes for requests, which say that the target has seen nothing. */
function asAnswerError(error: unknown): RelayError {
  if (!isRelayError(error) || error.reached === "yes") return asRelayError(error);
  return new RelayError("target_protocol", `the target's answer can't be passed on: ${error.detail}`, {
    cause: error,
  });
}
