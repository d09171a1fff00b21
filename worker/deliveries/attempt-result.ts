import type { DeliveryAnswer, DeliveryDetail } from "../../protocol/deliveries.ts";
import type { NewEvent, StoredEvent } from "./event.ts";

/** Where an attempt was made, as far as that is known. */
interface Made {
  readonly node: string | null;
  readonly egress: string | null;
}

/** What came of one attempt. What to make of it is for the engine to say. */
export type AttemptResult =
  /** The target's answer, whatever it says. `retryAfter` in seconds, as its `Retry-After` has it. */
  | ({
      readonly kind: "answered";
      readonly answer: DeliveryAnswer;
      readonly retryAfter: number | null;
    } & Made)
  /** The target's fault, or policy's: it spends an attempt. */
  | ({ readonly kind: "failed"; readonly code: string; readonly detail: string } & Made)
  /** The relay's own fault: it spends none. `retryAfter` in seconds, where something said so. */
  | ({
      readonly kind: "relay";
      readonly code: string;
      readonly detail: string;
      readonly retryAfter: number | null;
    } & Made)
  /** Its client or its route is not there: nothing was sent, and nothing will be until somebody resumes. */
  | { readonly kind: "held"; readonly reason: string }
  /** What is stored of it can't be used, by no key: it will never be sent. */
  | { readonly kind: "unreadable"; readonly detail: string };

/** The body of a stored event, read from its beginning as often as is asked, a chunk at a time. */
export interface StoredBody {
  readonly size: number;
  chunks(): Iterable<Uint8Array<ArrayBuffer>>;
}

/** Makes one attempt. Never throws, and returns within the time that an attempt has, and some. */
export type Deliver = (event: StoredEvent, body: StoredBody) => Promise<AttemptResult>;

/**
 * Makes the event that tells how one with a `callback` ended, for the same store; null where it can't be made by any key. Throws
 * where it may work later: the engine asks again.
 */
export type MakeCallback = (
  ended: StoredEvent,
  detail: DeliveryDetail,
) => Promise<{ readonly event: NewEvent; readonly body: Uint8Array<ArrayBuffer> } | null>;
