/**
 * What was learned within the last while, by key; what was used least recently is forgotten first. Times are milliseconds
 * since 1970.
 *
 * @example
 * const refused = new Lately<RelayError>({ max: 10_000, ms: 10_000 });
 * refused.set(key, error, now);
 * refused.get(key, now); // error
 */
export class Lately<V> {
  readonly #max: number;
  readonly #ms: number;
  // A Map keeps the order of insertion: what is used moves to its end.
  readonly #entries = new Map<string, { readonly value: V; readonly at: number }>();

  /** @param bounds how many are kept, and for how many milliseconds */
  constructor({ max, ms }: { readonly max: number; readonly ms: number }) {
    this.#max = max;
    this.#ms = ms;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Looking it up keeps it from being forgotten for others, and makes it last no longer. */
  get(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    // A clock that was set back would make it last.
    if (now < entry.at || now >= entry.at + this.#ms) return undefined;
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: V, now: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, at: now });
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value!);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Forgets all of which this is so. */
  deleteWhere(isMeant: (value: V) => boolean): void {
    for (const [key, { value }] of this.#entries) if (isMeant(value)) this.#entries.delete(key);
  }
}
