import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResponseHead } from "../protocol/envelope.ts";
import type { RelayError } from "../protocol/errors.ts";
import type { GrantClaims, GrantSource } from "../protocol/grants.ts";
import type { ClientSlot } from "./client-limits.ts";
import type { Route } from "./connections.ts";
import type { NodeContext } from "./context.ts";
import type { Dialed } from "./dialer.ts";
import type { Http1Request } from "./http1/connection.ts";
import type { Outcome } from "./outcome.ts";

/** A request that came, and what it came to. */
export interface RequestParts {
  readonly node: NodeContext;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly outcome: Outcome;
}

/** What is to be done, once it may be. */
export interface RequestPlan extends Route {
  readonly request: Http1Request;
  /** Nothing was waited for since the reads of this turn of the event loop were done. */
  readonly isRead: boolean;
  /** Whether it may be sent a second time, where a warm connection turns out to be closed. */
  readonly repeatable: boolean;
}

/** What a request is let in by. */
export interface Entrance {
  /** Aborted, with the error as its reason, when nobody waits for the request any more. */
  readonly signal: AbortSignal;
  /**
   * Takes the request's place among its client's.
   * @throws RelayError `revoked`, `concurrency_limited`, `rate_limited`, `answer_cut`
   */
  enter(grant: Pick<GrantClaims, "sub" | "limits" | "iat" | keyof GrantSource>): ClientSlot;
}

/** What differs from door to door: who may ask for what, and how the answer is written. */
export interface RequestForm {
  /**
   * Judges the request, lets it in, and says what is to be sent.
   * @throws RelayError
   */
  begin(entrance: Entrance): Promise<RequestPlan>;
  /** Writes the head of the target's answer. @throws RelayError where it can't be passed on */
  head(head: ResponseHead, dialed: Dialed): void;
  /** Answers with the relay's own failure, and deals with what is left of an upload. */
  fail(error: RelayError): void;
  /** Breaks the answer that has begun: nobody may take it for a whole one. */
  cut(): void;
}
