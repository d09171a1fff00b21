import { RelayError } from "../protocol/errors.ts";
import type { GrantLimits } from "../protocol/grants.ts";
import { STREAMS_PARKED_PER_CLIENT } from "./limits.ts";
import type { Standing } from "./revocations/running.ts";
import { type BucketSize, TokenBucket } from "../protocol/token-bucket.ts";

/** What counts towards which limit: requests and streams at once are counted apart, and so is what may become a stream. */
export type SlotKind = "request" | "stream" | "parked";

/**
 * Holds each client to its limits at this node: requests per second, and requests and streams at once, are refused beyond
 * them, bytes per second are shaped. A client has state here only while it uses something up: what is idle and full again is dropped.
 */
export class ClientLimits {
  #budgets = new Map<string, Budget>();
  /** Whom the sweep looks at next. It sees who comes and goes meanwhile. */
  #sweeping = this.#budgets.entries();
  readonly #now: () => number;
  readonly #slots = { request: 0, stream: 0, parked: 0 };

  /** @param now milliseconds, from any origin that does not jump */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Requests' slots that are taken, over all clients. */
  get slots(): number {
    return this.#slots.request;
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#budgets.size;
  }

  /**
   * Lets a request or a stream in, or refuses it; what is refused uses nothing up.
   *
   * @param limits the grant's, or none
   * @param issued the grant's iat: the newest grant's limits count
   * @returns a slot, which must be left once the request is over
   * @throws RelayError `concurrency_limited`, `rate_limited`
   */
  enter(
    clientId: string,
    limits: GrantLimits | undefined,
    issued: number,
    kind: SlotKind = "request",
  ): ClientSlot {
    const now = this.#now();
    this.#sweep(now);
    const budget = this.#budgets.get(clientId) ?? new Budget(this.#now);
    budget.hold(limits ?? {}, issued, now);
    budget.admit(clientId, kind, now);
    this.#budgets.set(clientId, budget);
    this.#slots[kind]++;
    return new ClientSlot(clientId, budget, kind, this.#slots, () => {
      if (budget.isSpare(this.#now()) && this.#budgets.get(clientId) === budget) this.#drop(clientId);
    });
  }

  /** Looks at two clients for each one that may be new, so that nothing heaps up and no request pays for all. */
  #sweep(now: number): void {
    for (let looked = 0; looked < 2; looked++) {
      let next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = this.#budgets.entries();
        next = this.#sweeping.next();
        if (next.done === true) return;
      }
      const [clientId, budget] = next.value;
      if (budget.isSpare(now)) this.#drop(clientId);
    }
  }

  #drop(clientId: string): void {
    this.#budgets.delete(clientId);
    if (this.#budgets.size > 0) return;
    // A Map that lives long makes the tables that it needs from time to time where only a collection of the whole heap takes them away.
    this.#budgets = new Map();
    this.#sweeping = this.#budgets.entries();
  }
}

/** The place of one request or stream among its client's, and its way to the client's bytes. */
export class ClientSlot {
  /** Called when streams that had to rest may go on. */
  onPaid: (() => void) | undefined;
  /** Ends with it. */
  standing: Standing | undefined;
  readonly #clientId: string;
  readonly #budget: Budget;
  /** Over all clients. */
  readonly #all: Slots;
  #kind: SlotKind;
  #onLeave: (() => void) | undefined;

  constructor(clientId: string, budget: Budget, kind: SlotKind, all: Slots, onLeave: () => void) {
    this.#clientId = clientId;
    this.#budget = budget;
    this.#kind = kind;
    this.#all = all;
    this.#onLeave = onLeave;
    budget.slots[kind]++;
  }

  /**
   * Goes on as something else, which has to have room. The rate was charged before.
   * @throws RelayError `concurrency_limited`; it is what it was then
   */
  become(kind: SlotKind): void {
    if (this.#onLeave === undefined) return;
    this.#budget.assertRoom(this.#clientId, kind);
    for (const slots of [this.#budget.slots, this.#all]) {
      slots[this.#kind]--;
      slots[kind]++;
    }
    this.#kind = kind;
  }

  /** Charges bytes that have passed; says whether this request's streams must rest until `onPaid`. */
  spend(bytes: number): boolean {
    return this.#budget.bytes !== undefined && this.#onLeave !== undefined && this.#budget.spend(bytes, this);
  }

  /** Whether the client has a share of bytes, by the newest grant. */
  get isPaced(): boolean {
    return this.#budget.bytes !== undefined;
  }

  /** Whether this request's streams must rest. */
  get inDebt(): boolean {
    return this.#budget.waiting.has(this);
  }

  /** Gives the slot back, the first time that it is called. */
  leave(): void {
    const onLeave = this.#onLeave;
    if (onLeave === undefined) return;
    this.#onLeave = undefined;
    this.onPaid = undefined;
    this.standing?.leave();
    this.#budget.slots[this.#kind]--;
    this.#all[this.#kind]--;
    this.#budget.forget(this);
    onLeave();
  }
}

type Slots = Record<SlotKind, number>;

/** What one client may still use. */
class Budget {
  readonly slots: Slots = { request: 0, stream: 0, parked: 0 };
  bytes: TokenBucket | undefined;
  /** Whose streams rest, in the order in which they began to. */
  readonly waiting = new Set<ClientSlot>();
  readonly #now: () => number;
  #rate: TokenBucket | undefined;
  #limits: GrantLimits = {};
  #issued = 0;
  /** Runs only while streams wait. */
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes the limits of a grant, unless those of a newer one are known. */
  hold(limits: GrantLimits, issued: number, now: number): void {
    if (issued < this.#issued) return;
    const { rate, bytes } = this.#limits;
    this.#issued = issued;
    this.#limits = limits;
    if (limits.rate === rate && limits.bytes === bytes) return;
    this.#rate = sized(this.#rate, limits.rate, now);
    this.bytes = sized(this.bytes, limits.bytes, now);
    if (this.waiting.size > 0) this.#wake(now);
  }

  /** @throws RelayError `concurrency_limited`, `rate_limited` */
  admit(clientId: string, kind: SlotKind, now: number): void {
    const { rate, bytes } = this.#limits;
    this.assertRoom(clientId, kind);
    if (bytes !== undefined && this.bytes!.level(now) < -bytes) {
      throw limited(`${clientId} moves more than ${bytes} bytes/s`, this.bytes!.waitMs(-bytes, now));
    }
    if (rate !== undefined && !this.#rate!.take(1, now)) {
      throw limited(`${clientId} makes more than ${rate} requests/s`, this.#rate!.waitMs(1, now));
    }
  }

  /** @throws RelayError `concurrency_limited` */
  assertRoom(clientId: string, kind: SlotKind): void {
    const { concurrent, streams } = this.#limits;
    const most = { request: concurrent, stream: streams, parked: STREAMS_PARKED_PER_CLIENT }[kind];
    if (most === undefined || this.slots[kind] < Math.max(1, Math.floor(most))) return;
    const what = kind === "parked" ? "parked streams" : `${kind}s`;
    throw new RelayError(
      "concurrency_limited",
      `${clientId} has ${this.slots[kind]} ${what} under way at this node, as many as it may`,
      { retryAfter: 1 },
    );
  }

  spend(bytes: number, slot: ClientSlot): boolean {
    const now = this.#now();
    if (this.bytes!.spend(bytes, now) >= 0) return false;
    this.waiting.add(slot);
    if (this.#timer === undefined) this.#wake(now);
    return true;
  }

  forget(slot: ClientSlot): void {
    this.waiting.delete(slot);
    if (this.waiting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  isSpare(now: number): boolean {
    const { request, stream, parked } = this.slots;
    const isEmpty = request + stream + parked === 0;
    return isEmpty && this.#rate?.isFull(now) !== false && this.bytes?.isFull(now) !== false;
  }

  /** Sees to it that what waits goes on when the debt is paid. */
  #wake(now: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#paid(), this.bytes?.waitMs(0, now) ?? 0);
  }

  #paid(): void {
    this.#timer = undefined;
    const now = this.#now();
    if ((this.bytes?.waitMs(0, now) ?? 0) > 0) {
      this.#wake(now);
      return;
    }
    // Each gets its next piece before any gets a second one: so all streams of a client share what it has.
    const slots = [...this.waiting];
    this.waiting.clear();
    for (const slot of slots) slot.onPaid?.();
  }
}

/** A burst of one second's worth; at least one request, and any number of bytes above none. */
function sized(bucket: TokenBucket | undefined, rate: number | undefined, now: number) {
  if (rate === undefined) return undefined;
  const size: BucketSize = { rate, burst: Math.max(1, rate) };
  if (bucket === undefined) return new TokenBucket(size, now);
  bucket.resize(size, now);
  return bucket;
}

function limited(detail: string, waitMs: number): RelayError {
  return new RelayError("rate_limited", detail, { retryAfter: Math.max(1, Math.ceil(waitMs / 1_000)) });
}
