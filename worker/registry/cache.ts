import { keepNewest } from "../keep-newest.ts";
import { REGISTRY_CACHE_ENTRIES, REGISTRY_CACHE_MS } from "../limits.ts";

/**
 * What an isolate remembers of the registry for at most 10 s, by id. That there is nothing of an id is remembered too, apart
 * from what there is: strangers who invent ids push nothing out. Times are milliseconds since 1970.
 */
export class RegistryCache<T> {
  readonly #known = new Map<string, { readonly value: T; readonly until: number }>();
  /** Until when it is remembered that there is nothing. */
  readonly #unknown = new Map<string, number>();

  /** What is remembered: null that there is nothing, undefined where the registry is to be asked. */
  get(id: string, now: number): T | null | undefined {
    const known = this.#known.get(id);
    if (known !== undefined && known.until > now) return known.value;
    return (this.#unknown.get(id) ?? 0) > now ? null : undefined;
  }

  /** What there was of this id when it was last looked up, however long ago. */
  last(id: string): T | undefined {
    return this.#known.get(id)?.value;
  }

  /** Remembers what the registry had, or with null that it had nothing. */
  set(id: string, value: T | null, now: number): void {
    const until = now + REGISTRY_CACHE_MS;
    if (value === null) {
      this.#known.delete(id);
      keepNewest(this.#unknown, id, until, REGISTRY_CACHE_ENTRIES);
    } else {
      this.#unknown.delete(id);
      keepNewest(this.#known, id, { value, until }, REGISTRY_CACHE_ENTRIES);
    }
  }

  /** Whether there was something of this id, when it was last looked up. */
  has(id: string): boolean {
    return this.#known.has(id);
  }
}
