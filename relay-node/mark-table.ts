import { randomFillSync } from "node:crypto";
import { MARK_PAGE_BYTES, MARK_SLOTS_MIN } from "./limits.ts";

/** No id or mark may have more characters, each of them ASCII. */
const LENGTH_MAX = 127;

const UNFIT = `an id or a mark is no ASCII of at most ${LENGTH_MAX} characters`;

/** A slot has 32 bits for where an entry stands. */
const PAGES_MAX = 2 ** 32 / MARK_PAGE_BYTES;

/** A slot has the id's hash and where its entry stands, counted from 1; 0 is an empty one. */
const SLOT_WORDS = 2;

/** An entry begins by the length of its id and that of its mark, a byte each. */
const HEAD_BYTES = 2;

/** One odd number for each place of an id. */
const FACTORS = randomFillSync(new Uint32Array(LENGTH_MAX)).map((random) => random | 1);

let hashed = "";
let hash = 0;

/**
 * By factors that nobody else knows, so that nobody can choose ids that fall into one place: of two ids that differ, however they were
 * chosen, as few collide in the upper bits as of random ones.
 */
function hashOf(id: string): number {
  // An id is looked for more than once before it is set.
  if (id === hashed) return hash;
  let sum = 0;
  for (let at = 0; at < id.length; at++) sum = (sum + Math.imul(FACTORS[at]!, id.charCodeAt(at))) | 0;
  hashed = id;
  hash = sum >>> 0;
  return hash;
}

/**
 * What is known of ids, as a Map would have it, outside of V8's heap: hundreds of thousands of short texts that live for minutes would
 * be copied to its old generation one by one, and have all of it looked through every other second.
 *
 * Ids and marks are ASCII of at most 127 characters.
 */
export class MarkTable {
  /** Half of it is empty at least. Capacity is a power of two. */
  #slots = new Uint32Array(SLOT_WORDS * MARK_SLOTS_MIN);
  /** How far a hash is shifted to name a slot. */
  #shift = shiftOf(MARK_SLOTS_MIN);
  #size = 0;
  /** Entries, one behind the other, in the order in which they were set; those that were set anew stand there still. */
  readonly #pages: Buffer[] = [];
  /** Where the next entry goes. */
  #page = 0;
  #at = 0;
  /** How often it was emptied. */
  #round = 0;

  /** Ids that it has, those that were deleted included. */
  get size(): number {
    return this.#size;
  }

  get(id: string): string | undefined {
    const place = this.#find(id);
    if (place === undefined) return undefined;
    const page = this.#pageOf(place);
    const at = offsetOf(place);
    const length = page[at + 1]!;
    if (length === 0) return undefined;
    const begin = at + HEAD_BYTES + page[at]!;
    return page.toString("latin1", begin, begin + length);
  }

  has(id: string): boolean {
    const place = this.#find(id);
    return place !== undefined && this.#pageOf(place)[offsetOf(place) + 1] !== 0;
  }

  /** @throws RangeError where the id or the mark is empty, too long, or no ASCII */
  set(id: string, mark: string): void {
    if (id === "" || mark === "") throw new RangeError("an id or a mark is empty");
    this.#set(id, mark);
  }

  delete(id: string): void {
    if (this.has(id)) this.#set(id, "");
  }

  /** Forgets all. What it keeps for what comes next is as much as it had use for by now. */
  clear(): void {
    this.#pages.length = Math.min(this.#pages.length, this.#page + 1);
    const capacity = capacityFor(this.#size);
    if (capacity * SLOT_WORDS === this.#slots.length) this.#slots.fill(0);
    else this.#slots = new Uint32Array(SLOT_WORDS * capacity);
    this.#shift = shiftOf(capacity);
    this.#size = 0;
    this.#page = 0;
    this.#at = 0;
    this.#round++;
  }

  /** Ids and marks, in the order in which they were set last; also those that are set meanwhile. It ends where all is forgotten meanwhile. */
  *[Symbol.iterator](): Generator<readonly [id: string, mark: string]> {
    const round = this.#round;
    let [page, at] = [0, 0];
    while (page < this.#page || (page === this.#page && at < this.#at)) {
      const bytes = this.#pages[page]!;
      const idLength = at < bytes.length ? bytes[at]! : 0;
      if (idLength === 0) {
        page++;
        at = 0;
        continue;
      }
      const markLength = bytes[at + 1]!;
      const begin = at + HEAD_BYTES;
      const id = bytes.toString("latin1", begin, begin + idLength);
      const isLatest = this.#find(id) === placeOf(page, at);
      if (isLatest && markLength > 0) {
        yield [id, bytes.toString("latin1", begin + idLength, begin + idLength + markLength)];
        if (this.#round !== round) return;
      }
      at = begin + idLength + markLength;
    }
  }

  /** @returns where its entry stands */
  #find(id: string): number | undefined {
    const slot = this.#slotOf(id, hashOf(id));
    const place = this.#slots[slot + 1]!;
    return place === 0 ? undefined : place - 1;
  }

  /** @returns the slot that it has, or would have */
  #slotOf(id: string, wanted: number): number {
    const slots = this.#slots;
    let slot = SLOT_WORDS * (wanted >>> this.#shift);
    for (;;) {
      const place = slots[slot + 1]!;
      if (place === 0 || (slots[slot] === wanted && this.#isAt(place - 1, id))) return slot;
      slot += SLOT_WORDS;
      if (slot === slots.length) slot = 0;
    }
  }

  #isAt(place: number, id: string): boolean {
    const page = this.#pageOf(place);
    const at = offsetOf(place);
    if (page[at] !== id.length) return false;
    const begin = at + HEAD_BYTES;
    for (let i = 0; i < id.length; i++) if (page[begin + i] !== id.charCodeAt(i)) return false;
    return true;
  }

  #set(id: string, mark: string): void {
    if (id.length > LENGTH_MAX || mark.length > LENGTH_MAX) throw new RangeError(UNFIT);
    const place = this.#append(id, mark);
    const wanted = hashOf(id);
    let slot = this.#slotOf(id, wanted);
    if (this.#slots[slot + 1] === 0) {
      if (SLOT_WORDS * 2 * (this.#size + 1) > this.#slots.length) {
        this.#grow();
        slot = this.#slotOf(id, wanted);
      }
      this.#size++;
      this.#slots[slot] = wanted;
    }
    this.#slots[slot + 1] = place + 1;
  }

  /** @returns where it stands; nothing has changed where it throws */
  #append(id: string, mark: string): number {
    const bytes = HEAD_BYTES + id.length + mark.length;
    if (this.#at + bytes > MARK_PAGE_BYTES && this.#pages.length > 0) {
      if (this.#page + 1 === PAGES_MAX) throw new RangeError("it is full");
      this.#page++;
      this.#at = 0;
    }
    const page = (this.#pages[this.#page] ??= Buffer.allocUnsafeSlow(MARK_PAGE_BYTES));
    const place = placeOf(this.#page, this.#at);
    let at = this.#at;
    page[at++] = id.length;
    page[at++] = mark.length;
    let bits = 0;
    for (let i = 0; i < id.length; i++) bits |= page[at++] = id.charCodeAt(i);
    for (let i = 0; i < mark.length; i++) bits |= page[at++] = mark.charCodeAt(i);
    if (bits > 127) throw new RangeError(UNFIT);
    // What a page held before is not to be taken for an entry.
    if (at < page.length) page[at] = 0;
    this.#at = at;
    return place;
  }

  #grow(): void {
    const before = this.#slots;
    const capacity = before.length / SLOT_WORDS;
    const slots = new Uint32Array(2 * before.length);
    const shift = shiftOf(2 * capacity);
    for (let from = 0; from < before.length; from += SLOT_WORDS) {
      const place = before[from + 1]!;
      if (place === 0) continue;
      const wanted = before[from]!;
      let slot = SLOT_WORDS * (wanted >>> shift);
      while (slots[slot + 1] !== 0) slot = slot + SLOT_WORDS === slots.length ? 0 : slot + SLOT_WORDS;
      slots[slot] = wanted;
      slots[slot + 1] = place;
    }
    this.#slots = slots;
    this.#shift = shift;
  }

  #pageOf(place: number): Buffer {
    return this.#pages[Math.floor(place / MARK_PAGE_BYTES)]!;
  }
}

function shiftOf(capacity: number): number {
  return 32 - Math.log2(capacity);
}

function capacityFor(size: number): number {
  return Math.max(MARK_SLOTS_MIN, 2 ** Math.ceil(Math.log2(2 * size + 1)));
}

function placeOf(page: number, at: number): number {
  return page * MARK_PAGE_BYTES + at;
}

function offsetOf(place: number): number {
  return place % MARK_PAGE_BYTES;
}
