import { CLIENT_ID } from "./keys.ts";
import {
  DELIVERY_DELAY_MAX_SECONDS,
  DELIVERY_NAME_MAX,
  DELIVERY_SCHEDULE_MAX,
  URL_MAX_BYTES,
} from "./limits.ts";

/**
 * Who has deliveries: a route that a provider calls, or a client that hands its own requests over.
 * @example "route:stripe-orders", "client:shop"
 */
export type Owner = `route:${string}` | `client:${string}`;

/** Whether a text names an owner. */
export function isOwner(value: unknown): value is Owner {
  if (typeof value !== "string") return false;
  const [kind, id, ...more] = value.split(":");
  return (
    (kind === "route" || kind === "client") && more.length === 0 && id !== undefined && CLIENT_ID.test(id)
  );
}

/** A delivery's id: which of its owner's stores has it, in one character, and 128 random bits. */
export const DELIVERY_ID = /^dlv_[A-Za-z0-9_-][A-Za-z0-9_-]{21}[AQgw]$/;

/**
 * - `pending`: to be made, or under way;
 * - `delivered`: its target answered 2xx;
 * - `dead`: given up, kept, and made again when somebody asks, or when a provider sends it once more.
 */
export const DELIVERY_STATES = ["pending", "delivered", "dead"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** What a delivery is: a provider's event, a client's own request, or the word to a client about how one of those ended. */
export type DeliveryKind = "hook" | "call" | "callback";

/** The counts of an owner: accepted = delivered + pending + dead + purged, always. */
export interface DeliveryCounts {
  readonly accepted: number;
  readonly delivered: number;
  readonly pending: number;
  readonly dead: number;
  readonly purged: number;
}

/** One attempt, as it is told. Times are milliseconds since 1970. */
export interface DeliveryAttempt {
  /** Counts them from 1. */
  readonly n: number;
  readonly started: number;
  /** Null while it is under way. */
  readonly ended: number | null;
  /**
   * - `answered`: the target answered, with `status`;
   * - `failed`: nothing came of it at the target, or policy refused it, with `code`;
   * - `relay`: the relay's own fault, which spends none of the target's attempts;
   * - `interrupted`: the edge ended in the middle, so that nobody knows.
   */
  readonly result: "answered" | "failed" | "relay" | "interrupted" | null;
  readonly status: number | null;
  /** Of `protocol/error-table.ts`, and what it says. */
  readonly code: string | null;
  readonly detail: string | null;
  /** The node that made it, and the address that the target saw. */
  readonly node: string | null;
  readonly egress: string | null;
}

/** The last answer of a target's. */
export interface DeliveryAnswer {
  readonly status: number;
  /** The first 4 kB of its body, in base64. */
  readonly body: string;
  /** Whether it had more. */
  readonly isCut: boolean;
}

/** A delivery as it is listed. Times are milliseconds since 1970. */
export interface DeliveryRow {
  readonly id: string;
  readonly owner: Owner;
  readonly kind: DeliveryKind;
  readonly state: DeliveryState;
  /** Whose `allow` and limits it goes by. */
  readonly client: string;
  readonly method: string;
  /** Where it goes to; null where its route says. */
  readonly origin: string | null;
  readonly lane: string | null;
  /** What it is known by, where it comes again. */
  readonly dedupe: string | null;
  /** Bytes of its body. */
  readonly size: number;
  readonly accepted: number;
  /** How many of the schedule's attempts were spent. */
  readonly spent: number;
  /** When it is tried next; null where it isn't, or waits for the one before it in its lane. */
  readonly due: number | null;
  /** When it was delivered or given up. */
  readonly ended: number | null;
  /** Why it was given up, or is not tried. */
  readonly reason: string | null;
}

/** A delivery with all that is known of it. */
export interface DeliveryDetail extends DeliveryRow {
  /** The latest ones, the oldest first. */
  readonly attempts: readonly DeliveryAttempt[];
  readonly answer: DeliveryAnswer | null;
}

/** Why an owner's deliveries are not made. Pausing never keeps anything from being accepted. */
export interface Pause {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** An operator's key by its id; the edge itself where this is null. */
  readonly by: string | null;
  readonly reason: string;
}

/** What a client wants of a delivery: the claim `delivery` of a token for `POST /deliveries`. */
export interface DeliveryOptions {
  /** The same key makes the same delivery: a second request with it stores nothing. */
  readonly key?: string;
  /** Of one lane, each is made when those before it have ended, in the order in which they were accepted. */
  readonly lane?: string;
  /** Seconds before each attempt. */
  readonly schedule?: readonly number[];
  /** Where the outcome is posted to, by the relay as well, under the client's `allow`. */
  readonly callback?: string;
}

/** Whether a value says what a client wants of a delivery. What is not known is refused: a slip must not be passed over. */
export function isDeliveryOptions(value: unknown): value is DeliveryOptions {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([name, option]) => OPTIONS.get(name)?.(option) === true);
}

const isText = (max: number) => (value: unknown) =>
  typeof value === "string" && value.length >= 1 && value.length <= max && value.isWellFormed();

const isDelay = (value: unknown) =>
  typeof value === "number" && value >= 0 && value <= DELIVERY_DELAY_MAX_SECONDS;

const OPTIONS: ReadonlyMap<string, (value: unknown) => boolean> = new Map<
  keyof DeliveryOptions,
  (value: unknown) => boolean
>([
  ["key", isText(DELIVERY_NAME_MAX)],
  ["lane", isText(DELIVERY_NAME_MAX)],
  [
    "schedule",
    (value) =>
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= DELIVERY_SCHEDULE_MAX &&
      value.every((delay) => isDelay(delay)),
  ],
  ["callback", isText(URL_MAX_BYTES)],
]);

/** What accepting comes to. */
export interface Accepted {
  readonly id: string;
  /** `revived`: known, dead until now, and pending again. */
  readonly status: "stored" | "duplicate" | "revived";
}
