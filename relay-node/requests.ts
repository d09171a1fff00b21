import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { RelayError } from "../protocol/errors.ts";
import { Members } from "./members.ts";
import type { Metrics } from "./metrics.ts";
import type { Outcome } from "./outcome.ts";

/** A request that a door serves. */
export interface ServedRequest {
  serve(): Promise<void>;
  /** Whether this is the request of that client and id. */
  is(clientId: string, requestId: string): boolean;
  /** Whether the target can have seen anything of it. */
  readonly hasSent: boolean;
  /** Ends it with a typed error. */
  abort(error: RelayError): void;
  /** Nothing more will happen. */
  close(): void;
}

/** All requests of a node that are under way, by whichever door they came. */
export class Requests {
  readonly #active = new Members<ServedRequest>();
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #onEnd: () => void;

  /** @param onEnd called when one is under way no longer */
  constructor(metrics: Metrics, log: Logger, onEnd: () => void) {
    this.#metrics = metrics;
    this.#log = log;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#active.size;
  }

  /** Serves one, and tells of its outcome when its answer is closed. */
  serve(
    request: ServedRequest,
    { response, outcome }: { readonly response: ServerResponse; readonly outcome: Outcome },
  ): void {
    const place = this.#active.enter(request);
    // Begun first: that the caller went away is the door's to hear before it is told.
    void request.serve();
    response.once("close", () => {
      place.leave();
      request.close();
      outcome.tell(this.#log, this.#metrics);
      this.#onEnd();
    });
  }

  find(clientId: string, requestId: string): ServedRequest | undefined {
    for (const request of this.#active) if (request.is(clientId, requestId)) return request;
    return undefined;
  }

  /** Ends all with a typed error, since the node has to go. */
  fail(): void {
    for (const request of this.#active) {
      request.abort(
        new RelayError("node_draining", "the node had to go before the answer came", {
          reached: request.hasSent ? "unknown" : "no",
        }),
      );
    }
  }
}
