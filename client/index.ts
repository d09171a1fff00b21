/**
 * What an app imports: a `fetch` whose requests, and a `connect` whose TCP connections leave from a fixed address.
 *
 * Only Web APIs and jose: it runs in Node, Deno, Bun, workerd and browsers alike.
 *
 * @example
 * const relay = createRelay(process.env.HOLDFAST_URL, { hosts: ["api.bank.com", "*.vendor.io"] });
 * const response = await relay.fetch("https://api.bank.com/v1/payments", { method: "POST", body });
 */
export { createRelay, type Relay, type RelayOptions } from "./relay.ts";
export type { ConnectionInfo, RelayConnection } from "./connect.ts";
export type { EnqueueInit } from "./enqueue.ts";
export type { DeliveryAsk } from "./delivery.ts";
export type { StreamTarget } from "./stream-session.ts";
export { relayInfo, type RelayInfo } from "./info.ts";
export { createScopeToken, type ScopeOptions } from "./scope.ts";
export type { Fetch } from "./wire.ts";
export type { IdentityOptions, IdentityToken } from "./platforms/options.ts";
export {
  type ErrorCode,
  isRelayError,
  type Reached,
  RelayError,
  type RelayErrorOptions,
} from "../protocol/errors.ts";
export type {
  Accepted,
  DeliveryAnswer,
  DeliveryAttempt,
  DeliveryDetail,
  DeliveryOptions,
  DeliveryState,
} from "../protocol/deliveries.ts";
export type { ReceiptClaims } from "../protocol/receipts.ts";
export type { QuotaMeasure, QuotaStanding } from "../protocol/quota.ts";
export type { Field } from "../protocol/headers.ts";
