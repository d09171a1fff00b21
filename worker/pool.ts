import type { Complaint, Fault, NodeView } from "./health.ts";
import {
  ALONE_BACKOFF_MAX_MS,
  ALONE_BACKOFF_MS,
  HEALTH_FIRST_MS,
  HEALTH_REFRESH_MS,
  SUSPECT_PROBES,
} from "./limits.ts";

/** A failure that this isolate saw itself. */
interface Mark extends Fault {
  readonly at: number;
  /** Failures in a row. */
  readonly count: number;
  /** The node's epoch when it failed; undefined as long as nobody has told. */
  readonly epoch: number | undefined;
}

/** What is known of a node that requests wait for. */
interface Contact {
  /** When it last said anything. */
  heardAt: number;
  /** Questions in a row that it didn't answer. */
  missed: number;
  /** Until when a question is under way. */
  askingUntil: number;
}

/**
 * The nodes' health as one isolate knows it: what it saw itself, at once, and what all isolates share, a little later. Only
 * plain values are kept: a promise of one request can't be waited for by another. Times are milliseconds since 1970.
 */
export class Pool {
  readonly #marks = new Map<string, Mark>();
  readonly #contacts = new Map<string, Contact>();
  #views: ReadonlyMap<string, NodeView> = new Map();
  /** Since when the shared health has called nodes gone. */
  readonly #goneSince = new Map<string, number>();
  #viewedAt = -Infinity;
  #askedAt = -Infinity;

  /** Whether a node is to get requests. */
  isUp(id: string, now: number): boolean {
    const mark = this.#marks.get(id);
    if (mark === undefined) return this.#views.get(id)?.up ?? true;
    // The shared health tells when it is back. Where that can't be asked, it is left alone for a while.
    if (!this.#isStale(now)) return false;
    return now >= mark.at + Math.min(ALONE_BACKOFF_MS * 2 ** (mark.count - 1), ALONE_BACKOFF_MAX_MS);
  }

  /**
   * When a node was found not to answer at all; undefined where it has said something since, or at least finishes what it
   * has begun.
   */
  goneAt(id: string): number | undefined {
    const mark = this.#marks.get(id);
    const at = mark?.gone === true ? mark.at : this.#goneSince.get(id);
    return at !== undefined && at >= this.#contact(id).heardAt ? at : undefined;
  }

  /** A request failed at the node for a reason that lies with the node. */
  failed(id: string, fault: Fault, now: number): void {
    const known = this.#marks.get(id);
    const count = (known?.count ?? 0) + 1;
    this.#marks.set(id, { ...fault, at: now, count, epoch: known?.epoch ?? this.#views.get(id)?.epoch });
    // The others are to know at once.
    if (known === undefined) this.#askedAt = -Infinity;
  }

  /** The node said something. */
  heard(id: string, now: number): void {
    const contact = this.#contact(id);
    contact.heardAt = now;
    contact.missed = 0;
  }

  /** The node left a question unanswered: twice, and it counts as gone. */
  missed(id: string, fault: Fault, now: number): void {
    if (++this.#contact(id).missed >= SUSPECT_PROBES) this.failed(id, fault, now);
  }

  /** Whether the node should be asked if it is there: true for one caller at a time. */
  shouldAsk(id: string, quietSince: number, now: number): boolean {
    const contact = this.#contact(id);
    return contact.heardAt <= quietSince && contact.askingUntil <= now;
  }

  asking(id: string, until: number): void {
    this.#contact(id).askingUntil = until;
  }

  /** Whether the shared health should be asked for now; the answer is true for one caller. */
  shouldRefresh(now: number): boolean {
    if (now - this.#askedAt < HEALTH_REFRESH_MS) return false;
    this.#askedAt = now;
    return true;
  }

  /** There is a failure that nobody else has been told of. */
  get hasUntold(): boolean {
    return this.#marks.size > 0 && this.#askedAt === -Infinity;
  }

  /**
   * Whether a request should wait a moment longer: the shared health was asked just now, and what was known before is
   * nothing to go by, being nothing at all or old and bad.
   */
  awaitsNews(now: number): boolean {
    if (now - this.#askedAt >= HEALTH_FIRST_MS) return false;
    if (this.#viewedAt === -Infinity) return true;
    return (
      this.#isStale(now) && (this.#marks.size > 0 || Array.from(this.#views.values()).some(({ up }) => !up))
    );
  }

  /** With requests the shared health is asked every second: it can't be, or there were none. */
  #isStale(now: number): boolean {
    return now - this.#viewedAt >= 3 * HEALTH_REFRESH_MS;
  }

  complaints(): Complaint[] {
    return Array.from(this.#marks, ([id, { reason, gone, epoch }]) => ({ id, reason, gone, epoch }));
  }

  /** Takes over what is shared. */
  learn(views: readonly NodeView[], now: number): void {
    this.#views = new Map(views.map((view) => [view.id, view]));
    this.#viewedAt = now;
    for (const { id, up, gone } of views) {
      if (up || !gone) this.#goneSince.delete(id);
      else if (!this.#goneSince.has(id)) this.#goneSince.set(id, now);
    }
    for (const [id, mark] of this.#marks) {
      const view = this.#views.get(id);
      if (view === undefined || (view.up && mark.epoch !== undefined && view.epoch > mark.epoch)) {
        this.#marks.delete(id);
      } else if (mark.epoch === undefined) this.#marks.set(id, { ...mark, epoch: view.epoch });
    }
  }

  #contact(id: string): Contact {
    let contact = this.#contacts.get(id);
    if (contact === undefined) {
      contact = { heardAt: -Infinity, missed: 0, askingUntil: -Infinity };
      this.#contacts.set(id, contact);
    }
    return contact;
  }
}
