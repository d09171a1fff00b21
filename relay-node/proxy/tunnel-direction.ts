import type { PumpEvents } from "../splice/pump.ts";
import type { StreamAccount } from "../stream-account.ts";

/** What the pump of one direction of a tunnel asks and tells: its client's limits hold as they are now, not as it began. */
export class TunnelDirection implements PumpEvents {
  readonly #account: StreamAccount;
  readonly #way: "up" | "down";
  readonly #onMove: () => void;

  /** @param onMove told when bytes have moved, or the last of them */
  constructor(account: StreamAccount, way: "up" | "down", onMove: () => void) {
    this.#account = account;
    this.#way = way;
    this.#onMove = onMove;
  }

  mustRest(): boolean {
    return this.#account.inDebt;
  }

  get isPaced(): boolean {
    return this.#account.isPaced;
  }

  moved(bytes: number): void {
    this.#onMove();
    this.#account.moved(this.#way, bytes);
  }

  ended(): void {
    this.#onMove();
  }
}
