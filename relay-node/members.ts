/** The place of one among others. */
export interface Member<T> {
  /** Undefined once it has left. */
  readonly item: T | undefined;
  /** False where it had left before. */
  leave(): boolean;
}

/**
 * What is under way at the moment, in the order in which it came; entering and leaving cost the same however many there are.
 *
 * A Set or Map that many enter and leave makes a new table every so often. The one before keeps whatever was in it then; and once it
 * has outlived two collections of V8's young generation, it keeps that until the whole heap is looked through. At 32 requests at once
 * this was nearly every request, with all that it has. Here nothing is left of what has gone.
 *
 * @example
 * const member = members.enter(request);
 * member.leave();
 */
export class Members<T> {
  #size = 0;
  /** Before the first and behind the last. */
  readonly #ends = new Link<T>(undefined, this);

  get size(): number {
    return this.#size;
  }

  /** Whoever came first of those that are here. */
  get first(): T | undefined {
    return this.#ends.after.item;
  }

  enter(item: T): Member<T> {
    const link = new Link<T>(item, this);
    const { before } = this.#ends;
    link.before = before;
    link.after = this.#ends;
    before.after = link;
    this.#ends.before = link;
    this.#size++;
    return link;
  }

  /** All that are here when it begins; who leaves meanwhile is left out. */
  *[Symbol.iterator](): Generator<T> {
    const all: Link<T>[] = [];
    for (let link = this.#ends.after; link !== this.#ends; link = link.after) all.push(link);
    for (const { item } of all) if (item !== undefined) yield item;
  }

  /** All leave. */
  clear(): void {
    for (let link = this.#ends.after; link !== this.#ends; link = this.#ends.after) link.leave();
  }

  /** Only for its links. */
  hasLeft(): void {
    this.#size--;
  }
}

class Link<T> implements Member<T> {
  before: Link<T> = this;
  after: Link<T> = this;
  item: T | undefined;
  readonly #members: Members<T>;

  constructor(item: T | undefined, members: Members<T>) {
    this.item = item;
    this.#members = members;
  }

  leave(): boolean {
    if (this.item === undefined) return false;
    this.item = undefined;
    this.before.after = this.after;
    this.after.before = this.before;
    // What has gone refers to nobody who is still here.
    this.before = this;
    this.after = this;
    this.#members.hasLeft();
    return true;
  }
}

/** A Map of objects that are under way; each carries its own place, so that nothing is left of it either. */
export class MemberMap<K extends object, V> {
  readonly #members = new Members<{ readonly key: K; readonly value: V }>();
  readonly #place = Symbol("place");

  get size(): number {
    return this.#members.size;
  }

  get(key: K): V | undefined {
    return this.#of(key)?.item?.value;
  }

  has(key: K): boolean {
    return this.#of(key) !== undefined;
  }

  set(key: K, value: V): this {
    this.#of(key)?.leave();
    this.#note(key, this.#members.enter({ key, value }));
    return this;
  }

  /** False where it was not there. */
  delete(key: K): boolean {
    const member = this.#of(key);
    if (member === undefined) return false;
    this.#note(key, undefined);
    return member.leave();
  }

  *keys(): Generator<K> {
    for (const { key } of this.#members) yield key;
  }

  #of(key: K): Member<{ readonly key: K; readonly value: V }> | undefined {
    return (key as Placed<K, V>)[this.#place];
  }

  #note(key: K, member: Member<{ readonly key: K; readonly value: V }> | undefined): void {
    (key as Placed<K, V>)[this.#place] = member;
  }
}

type Placed<K, V> = Record<symbol, Member<{ readonly key: K; readonly value: V }> | undefined>;
