import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResponseHead } from "../protocol/envelope.ts";
import { isRelayError, RelayError, withReached } from "../protocol/errors.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { Lease } from "./connections.ts";
import type { NodeContext } from "./context.ts";
import { enter } from "./enter.ts";
import { type AnswerSink, Exchange } from "./exchange.ts";
import { asRelayError } from "./failure.ts";
import { dropRest } from "./late-upload.ts";
import type { Outcome } from "./outcome.ts";
import { SHORT_BODY_BYTES } from "./limits.ts";
import { RequestBody } from "./request-body.ts";
import type { Entrance, RequestForm, RequestParts, RequestPlan } from "./request-form.ts";
import type { ServedRequest } from "./requests.ts";

/**
 *   caller ──▶ form.begin ▶ connection ──▶ target
 *   caller ◀── form.head ◀── exchange ◀──────┘
 *
 * One request on its way to a target and back, by whichever door it came.
 */
export class RelayedRequest implements AnswerSink, Entrance, ServedRequest {
  readonly #node: NodeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #outcome: Outcome;
  readonly #form: RequestForm;
  /** Why nobody waits for the request any more. */
  #gone: RelayError | undefined;
  /** Made where somebody asks for it: most requests wait for nothing that it could cut. */
  #abort: AbortController | undefined;
  #plan: RequestPlan | undefined;
  #attempts = 0;
  #lease: Lease | undefined;
  #exchange: Exchange | undefined;
  #slot: ClientSlot | undefined;
  /** The answer's body waits: for its reader, or for the client's share of bytes. */
  #rests = false;
  /** The answer's beginning waits, until its request is counted and what came together is written together. */
  #isHeld = false;
  #isOnFile = false;
  /** What waits with it. */
  #first: Buffer | undefined;
  /** All of the answer has come. */
  #isWhole = false;
  #isClosed = false;
  #wasReused = false;
  /** The first of two attempts may have reached the target. */
  #sentBefore = false;

  constructor({ node, request, response, outcome }: RequestParts, form: RequestForm) {
    this.#node = node;
    this.#request = request;
    this.#response = response;
    this.#outcome = outcome;
    this.#form = form;
  }

  async serve(): Promise<void> {
    this.#response.on("drain", () => this.#goOn());
    this.#response.on("close", () => {
      if (this.#response.writableFinished) return;
      const reached = this.#exchange === undefined ? "no" : "yes";
      this.abort(new RelayError("answer_cut", "the caller went away", { reached }));
    });
    try {
      const plan = await this.#form.begin(this);
      // What ended meanwhile would begin to be booked, and never end.
      this.#throwIfGone();
      this.#outcome.lap("node_queue");
      this.#outcome.host = plan.target.authority;
      this.#outcome.body = plan.request.body;
      this.#node.usage.began(this.#outcome, false);
      this.#plan = plan;
      await this.#attempt(plan);
    } catch (error) {
      this.fail(asRelayError(error));
    }
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#gone !== undefined) this.#abort.abort(this.#gone);
    }
    return this.#abort.signal;
  }

  #throwIfGone(): void {
    if (this.#gone !== undefined) throw this.#gone;
  }

  enter(grant: Parameters<Entrance["enter"]>[0]): ClientSlot {
    // A slot that is taken after the end would never be left.
    if (this.#isClosed) throw new RelayError("answer_cut", "the caller went away", { reached: "no" });
    const slot = enter(this.#node, grant, "request", (error) =>
      this.abort(withReached(error, this.hasSent ? "unknown" : "no")),
    );
    // By a name: V8 takes a function that is written where it is assigned to a property for one that lives long, and keeps with it
    // all that it can reach, the whole request, until the whole heap is looked through.
    const onPaid = () => {
      if (this.#outcome.body instanceof RequestBody) this.#outcome.body.goOn();
      this.#goOn();
    };
    slot.onPaid = onPaid;
    this.#slot = slot;
    return slot;
  }

  is(clientId: string, requestId: string): boolean {
    const { claims } = this.#outcome;
    return claims?.sub === clientId && claims.jti === requestId;
  }

  get hasSent(): boolean {
    return this.#sentBefore || this.#exchange?.sent === true;
  }

  abort(error: RelayError): void {
    this.#outcome.error ??= error;
    this.#gone ??= error;
    this.#abort?.abort(error);
    this.#exchange?.abort(error);
  }

  head(head: ResponseHead): void {
    this.#outcome.lap("target");
    this.#outcome.countInTurn(this.#node.usage);
    // A head and a short body that came together leave together, once they are counted: killed in between, the node would have
    // answered in part.
    this.#response.socket?.cork();
    this.#isHeld = true;
    this.#isOnFile = this.#outcome.onFile(() => this.letGo());
    if (this.#isOnFile) process.nextTick(letGo, this);
    try {
      this.#form.head(head, this.#lease!.dialed);
    } catch (error) {
      this.#exchange?.abort(asAnswerError(error));
    }
  }

  /** The answer's beginning leaves, with what of it came by now. */
  letGo(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const response = this.#response;
    const first = this.#first;
    this.#first = undefined;
    if (response.destroyed) return;
    if (this.#isWhole) endWith(response, first);
    else if (first !== undefined) response.write(first);
    // An event must not wait for the first byte of a body, nor a head for its first event.
    else response.flushHeaders();
    response.socket?.uncork();
  }

  write(chunk: Buffer): boolean {
    const inDebt = this.#slot!.spend(chunk.length);
    if (this.#isHeld && this.#first === undefined && chunk.length <= SHORT_BODY_BYTES) {
      this.#first = chunk;
      this.#rests = inDebt;
      return !inDebt;
    }
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) this.#response.write(first);
    const hasRoom = this.#response.write(chunk);
    this.#rests = inDebt || !hasRoom;
    return !this.#rests;
  }

  isUnread(): boolean {
    return this.#response.writableNeedDrain;
  }

  /** The client's slot is free, whatever the end was. */
  close(): void {
    this.#isClosed = true;
    this.#node.usage.ended(this.#outcome);
    this.#slot?.leave();
  }

  #goOn(): void {
    if (!this.#rests || this.isUnread() || this.#slot!.inDebt) return;
    this.#rests = false;
    this.#exchange?.resume();
  }

  end(): void {
    const body = this.#plan?.request.body;
    if (body instanceof RequestBody && !body.ended) {
      // The answer is whole before its request. What is still to come is read and dropped: closing on it could cut the answer.
      if (this.#lease?.dialed.alpn === "h2") this.#lease.cut();
      body.destroy();
      dropRest(this.#request);
    }
    this.#release();
    // The response's end would let go of what is held.
    this.#isWhole = true;
    if (!this.#isHeld) this.#response.end();
    else if (this.#isOnFile) this.letGo();
  }

  fail(error: RelayError): void {
    const plan = this.#plan;
    // Node can't reset an HTTP/2 stream in mid-upload: it ends it, or says nothing. So the connection goes, which is why an
    // upload has one for itself.
    if (plan?.request.body instanceof RequestBody && this.#lease?.dialed.alpn === "h2") this.#lease.cut();
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
    const body = this.#plan?.request.body;
    this.#outcome.error ??= error;
    this.#outcome.failed();
    this.#outcome.count(this.#node.usage);
    if (body instanceof RequestBody) body.destroy();
    // What has come of an answer leaves before it is cut, so that nobody asks for it again.
    if (this.#response.headersSent) {
      this.letGo();
      this.#form.cut();
      return;
    }
    this.#isHeld = false;
    if (!this.#response.destroyed) this.#form.fail(error);
  }

  async #attempt(plan: RequestPlan): Promise<void> {
    const { connections } = this.#node;
    const { repeatable, request } = plan;
    const { body } = request;
    const { onStage } = this.#outcome;
    const exclusive = body instanceof RequestBody;
    const warm = this.#attempts++ === 0 ? connections.leaseWarm(plan, { repeatable, exclusive }) : undefined;
    this.#lease = warm ?? (await connections.leaseFresh(plan, exclusive, this.signal, onStage));
    this.#outcome.connected(this.#lease.dialed, this.#lease.reused);
    this.#throwIfGone();
    const exchange = new Exchange(this, body instanceof RequestBody ? body : undefined);
    this.#exchange = exchange;
    this.#outcome.exchange = exchange;
    const isHttp2 = this.#lease.dialed.alpn === "h2";
    // Heard before the stream over it, which would end the body as it is destroyed.
    if (isHttp2 && body instanceof RequestBody) {
      // Its head has left before the first byte of a body, unlike with HTTP/1.
      body.once("error", (error) => exchange.abort(withReached(asRelayError(error), "yes")));
    }
    const isRead = this.#attempts === 1 && plan.isRead;
    this.#lease.send(request, exchange, isRead);
    // What has left is a request, however it ends: it is counted while its target has the word.
    if (exchange.sent && !(body instanceof RequestBody)) this.#outcome.countInTurn(this.#node.usage, isRead);
  }

  /**
   * A warm connection that its target closed a moment ago shows only when it is used. What was not sent at all, or is safe
   * to repeat, and has no body that could be gone, goes once more over a new one.
   */
  #mayRepeat({ repeatable, request }: RequestPlan, error: RelayError): boolean {
    const isUnsent = this.#exchange?.sent === false && !(request.body instanceof RequestBody);
    return (
      (isUnsent || (repeatable && error.code === "target_closed")) &&
      this.#attempts === 1 &&
      this.#wasReused &&
      !this.#response.headersSent &&
      this.#gone === undefined
    );
  }

  #release(): void {
    this.#wasReused = this.#lease?.reused ?? this.#wasReused;
    this.#lease?.release();
    this.#lease = undefined;
  }
}

function letGo(request: RelayedRequest): void {
  request.letGo();
}

/** A short body is written as text, which Node joins with the head: one piece to encrypt in place of three. */
function endWith(response: ServerResponse, body: Buffer | undefined): void {
  if (body === undefined) response.end();
  else response.end(body.toString("latin1"), "latin1");
}

/** What is wrong with an answer's head is told by the codes for requests, which say that the target has seen nothing. */
function asAnswerError(error: unknown): RelayError {
  if (!isRelayError(error) || error.reached === "yes") return asRelayError(error);
  return new RelayError("target_protocol", `the target's answer can't be passed on: ${error.detail}`, {
    cause: error,
  });
}
