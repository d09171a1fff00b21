import { isDeepStrictEqual } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";

/** How often an edit is applied anew, where somebody else wrote the record in between. */
const CONFLICTS_MAX = 3;

/** A record with the version that it was read with. */
export interface Versioned<T> {
  readonly version: number;
  readonly record: T;
}

/** What writing a record came to. */
export interface Written {
  readonly version: number;
  /** What the edge answered. */
  readonly value: unknown;
}

/** Records of one kind in the edge's registry, as an operator reads and writes them: each change replaces a version that was read. */
export class Records<T extends { readonly id: string }, Listed extends Versioned<T> = Versioned<T>> {
  readonly #kind: "clients" | "routes";
  readonly #recordOf: (value: unknown) => T;

  /** @param recordOf the record in an answer about one */
  constructor(kind: "clients" | "routes", recordOf: (value: unknown) => T) {
    this.#kind = kind;
    this.#recordOf = recordOf;
  }

  /** Every record, by the ids' order. */
  async list(operator: Operator): Promise<Listed[]> {
    const listed: Listed[] = [];
    for (let query = ""; ;) {
      const { value } = await adminCall(operator, "GET", `/admin/${this.#kind}${query}`);
      const page = value as { readonly [kind: string]: readonly Listed[] } & { readonly next: string | null };
      listed.push(...page[this.#kind]!);
      if (page.next === null) return listed;
      query = `?after=${encodeURIComponent(page.next)}`;
    }
  }

  /** @throws RelayError `not_found`, or as the edge answered */
  async read(operator: Operator, id: string): Promise<Versioned<T>> {
    const { value, version } = await adminCall(operator, "GET", this.#pathOf(id));
    return { version: numberOf(version), record: this.#recordOf(value) };
  }

  /**
   * Writes a whole record.
   * @param known the version that it replaces; undefined for one that is new
   * @throws RelayError `version_conflict`, or as the edge answered
   */
  async write(
    operator: Operator,
    record: object & { readonly id: string },
    known: number | undefined,
  ): Promise<Written> {
    const ifMatch = known === undefined ? undefined : `"${known}"`;
    const path = this.#pathOf(record.id);
    const { version, value } = await adminCall(operator, "PUT", path, { body: record, ifMatch });
    return { version: numberOf(version), value };
  }

  /** @throws RelayError `request_invalid` where there is one of this id already, or as the edge answered */
  async writeNew(operator: Operator, record: object & { readonly id: string }): Promise<Written> {
    try {
      return await this.write(operator, record, undefined);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const { id } = record;
      throw new RelayError(
        "request_invalid",
        `${id} is there already: \`holdfast ${this.#kind} update ${id}\` changes it`,
      );
    }
  }

  /**
   * Applies an edit to a record as it is; where somebody else wrote it in between, to what they wrote.
   *
   * @returns the record's version, and whether there was anything to change
   * @throws RelayError as `edit` throws, or as the edge answered
   */
  async edit(
    operator: Operator,
    id: string,
    edit: (record: T) => object & { readonly id: string },
  ): Promise<{ readonly version: number; readonly isChanged: boolean }> {
    for (let conflicts = 0; ; conflicts++) {
      const { record, version } = await this.read(operator, id);
      const next = edit(record);
      if (isDeepStrictEqual(next, record)) return { version, isChanged: false };
      try {
        return { version: (await this.write(operator, next, version)).version, isChanged: true };
      } catch (error) {
        if (!isConflict(error) || conflicts === CONFLICTS_MAX) throw error;
      }
    }
  }

  /** @throws RelayError `not_found`, or as the edge answered */
  async remove(operator: Operator, id: string): Promise<void> {
    // Whatever its version: but that there is none should be told as such.
    await this.read(operator, id);
    await adminCall(operator, "DELETE", this.#pathOf(id), { ifMatch: "*" });
  }

  #pathOf(id: string): string {
    return `/admin/${this.#kind}/${encodeURIComponent(id)}`;
  }
}

function numberOf(version: string | undefined): number {
  return Number(version?.replaceAll('"', ""));
}

function isConflict(error: unknown): boolean {
  return isRelayError(error) && error.code === "version_conflict";
}
