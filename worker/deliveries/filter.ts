import type { DeliveryState } from "../../protocol/deliveries.ts";

/** What a list of deliveries is narrowed to. Times are milliseconds since 1970. */
export interface DeliveryFilter {
  readonly state?: DeliveryState | undefined;
  readonly lane?: string | undefined;
  /** Accepted from, and before. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** What is to become of many deliveries, at a bounded rate. */
export interface Sweep {
  readonly act: "replay" | "purge";
  readonly filter: DeliveryFilter;
  /** Deliveries per second, of this store. */
  readonly rate: number;
}
