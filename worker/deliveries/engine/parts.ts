import type { Owner } from "../../../protocol/deliveries.ts";
import type { Deliver, MakeCallback } from "../attempt-result.ts";
import type { DeliveryOwner } from "../owner.ts";
import type { Store } from "../store/store.ts";
import type { Notice } from "./notice.ts";

/** What the engine is given. */
export interface EngineParts {
  readonly store: Store;
  /** Does all of the work, or none. */
  readonly transaction: <T>(work: () => T) => T;
  /** Milliseconds since 1970. */
  now(): number;
  /** From 0 to 1. */
  random(): number;
  /** When the alarm comes, as far as it is set; null where it isn't. */
  alarmAt(): Promise<number | null>;
  /** Has the engine run at that time, in place of any other; may be called in a transaction. */
  setAlarm(at: number): Promise<void>;
  /** Resolves when all that was written is kept for good. */
  sync(): Promise<void>;
  /** Writes a line of the edge's log. */
  tell(line: Notice & { readonly owner: Owner | null }): void;
  readonly deliver: Deliver;
  readonly makeCallback: MakeCallback;
  /** Asks the registry. */
  owner(owner: Owner): Promise<DeliveryOwner>;
  pauseOwner(owner: Owner, reason: string, at: number): Promise<void>;
}
