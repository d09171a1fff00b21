import type { Owner } from "../../../protocol/deliveries.ts";
import { REGISTRY_CACHE_MS } from "../../limits.ts";
import type { DeliveryOwner } from "../owner.ts";

/** What is known of a store's owner, remembered for at most 10 s. */
export class OwnerFacts {
  readonly #ask: (owner: Owner) => Promise<DeliveryOwner>;
  #known: { readonly owner: DeliveryOwner; readonly until: number } | undefined;
  /** Changes with each `forget`: an answer to what was asked before is not remembered. */
  #epoch = 0;

  constructor(ask: (owner: Owner) => Promise<DeliveryOwner>) {
    this.#ask = ask;
  }

  /** The latest that was heard, however old. */
  get latest(): DeliveryOwner | undefined {
    return this.#known?.owner;
  }

  /** Whether that is still what holds, as far as anybody has told. */
  isCurrent(owner: DeliveryOwner): boolean {
    return this.#known?.owner === owner && this.#known.until > 0;
  }

  /** @throws what asking throws */
  async get(now: number, id: Owner): Promise<DeliveryOwner> {
    if (this.#known !== undefined && now < this.#known.until) return this.#known.owner;
    const epoch = this.#epoch;
    const owner = await this.#ask(id);
    this.#known = { owner, until: epoch === this.#epoch ? now + REGISTRY_CACHE_MS : 0 };
    return owner;
  }

  /** What is remembered may be of yesterday. */
  forget(): void {
    this.#epoch++;
    if (this.#known !== undefined) this.#known = { ...this.#known, until: 0 };
  }
}
