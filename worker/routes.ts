/** A secret in a route's record, as the registry has it: sealed for the place `route <id>`, with a print to tell it by. */
export interface SealedSecret {
  readonly sealed: string;
  /** The first 12 characters of its SHA-256 in base64url: for people, and to keep it in an edit. */
  readonly print: string;
}

/** How a route proves who calls it. `secrets` are one or two, the current one and the next. */
export type VerifierRecord =
  | {
      readonly type: "standard-webhooks" | "stripe" | "github" | "slack" | "shopify" | "twilio";
      readonly secrets: readonly SealedSecret[];
    }
  | {
      readonly type: "hmac";
      readonly secrets: readonly SealedSecret[];
      /** The field that holds the signature, and what stands before it there. */
      readonly header: string;
      readonly prefix?: string | undefined;
      readonly hash: "sha1" | "sha256" | "sha512";
      readonly encoding: "hex" | "base64";
    }
  | { readonly type: "none" };

/** A route as the registry stores it. */
export interface RouteRecord {
  readonly id: string;
  /** By whose `allow`, pool and limits it delivers. */
  readonly client: string;
  /** Where it delivers to: `https://internal.example.com/hooks/stripe`. */
  readonly target: string;
  readonly verifier: VerifierRecord;
  /**
   * What an event is known by when it comes again: the provider's own event id (as `provider`, the default where the verifier knows
   * one), a field (`header:X-Event-Id`), a member of a JSON body by its pointer (`json:/id`), or `none`.
   */
  readonly dedupe?: string | undefined;
  /** Which events wait for each other: `none` (the default), `all`, or those with the same `header:…` or `json:…`. */
  readonly order?: string | undefined;
  /** Seconds before each attempt; DELIVERY_SCHEDULE_SECONDS where it is left out. */
  readonly schedule?: readonly number[] | undefined;
  /** Secrets to sign each attempt with, by Standard Webhooks: one, or two during a rotation. */
  readonly sign?: { readonly secrets: readonly SealedSecret[] } | undefined;
  readonly limits?: RouteLimits | undefined;
  readonly retention?: RouteRetention | undefined;
}

/** What is left out has the edge's default. */
export interface RouteLimits {
  /** The longest body. */
  readonly bodyBytes?: number | undefined;
  /** Calls that are taken per second, by each isolate of the edge. */
  readonly requestsPerSecond?: number | undefined;
  /** Attempts per second, over all stores. */
  readonly deliveriesPerSecond?: number | undefined;
  /** Attempts at once, over all stores. */
  readonly concurrent?: number | undefined;
  /** Deliveries that may be pending, over all stores. */
  readonly pending?: number | undefined;
}

/** For how long what has ended is kept, with its body: to be shown and made again, and known when it comes again. */
export interface RouteRetention {
  readonly deliveredDays?: number | undefined;
  readonly deadDays?: number | undefined;
}
