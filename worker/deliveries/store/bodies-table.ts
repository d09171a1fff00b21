import { RelayError } from "../../../protocol/errors.ts";
import { DELIVERY_BODY_MAX_BYTES } from "../../../protocol/limits.ts";
import { DELIVERY_CHUNK_BYTES, UPLOADS_AT_ONCE } from "../../limits.ts";
import type { Sql } from "../../registry/sql.ts";
import type { StoredBody } from "../attempt-result.ts";
import type { EventRow } from "./event-row.ts";
import { rowBytes } from "./row-limit.ts";

/** A body that is on its way. */
export interface Upload extends Record<string, string | number> {
  readonly id: string;
  readonly began: number;
  readonly pieces: number;
  readonly bytes: number;
}

/** What is only kept of events: their sealed requests and their bodies, of which those that are longer than a chunk lie in rows of their own. */
export class BodiesTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** @param body null where it was staged under the event's id */
  add(
    { seq, id }: { readonly seq: number; readonly id: string },
    { request, callback }: { readonly request: string; readonly callback: string | null },
    body: Uint8Array<ArrayBuffer> | null,
  ): void {
    const held = body !== null && body.length <= DELIVERY_CHUNK_BYTES ? body : null;
    rowBytes([request, callback, held]);
    this.#sql.exec("INSERT INTO contents VALUES (?, ?, ?, ?)", seq, request, callback, held);
    if (body === null || held !== null) return;
    for (let at = 0, n = 0; at < body.length; at += DELIVERY_CHUNK_BYTES, n++) {
      this.#addChunk(id, n, body.subarray(at, at + DELIVERY_CHUNK_BYTES));
    }
  }

  /** The sealed request of an event, and where its outcome goes to. */
  contents(seq: number): { readonly request: string; readonly callback: string | null } | undefined {
    return this.#sql
      .exec<{ request: string; callback: string | null }>(
        "SELECT request, callback FROM contents WHERE seq = ?",
        seq,
      )
      .toArray()[0];
  }

  /** The body of an event. One of which something is missing throws when it comes to that: it must not pass for a whole one. */
  body({ seq, id, size }: Pick<EventRow, "seq" | "id" | "size">): StoredBody {
    const sql = this.#sql;
    return {
      size,
      *chunks() {
        const held = sql
          .exec<{ body: ArrayBuffer | null }>("SELECT body FROM contents WHERE seq = ?", seq)
          .toArray()[0]?.body;
        if (held !== null && held !== undefined) {
          if (held.byteLength > 0) yield new Uint8Array(held);
          return;
        }
        for (let n = 0, sent = 0; sent < size; n++) {
          const chunk = sql
            .exec<{ bytes: ArrayBuffer }>("SELECT bytes FROM chunks WHERE id = ? AND n = ?", id, n)
            .toArray()[0]?.bytes;
          if (chunk === undefined) throw new Error(`piece ${n} of the body of ${id} is not there`);
          sent += chunk.byteLength;
          yield new Uint8Array(chunk);
        }
      },
    };
  }

  remove({ seq, id }: Pick<EventRow, "seq" | "id">): void {
    this.#sql.exec("DELETE FROM contents WHERE seq = ?", seq);
    this.#sql.exec("DELETE FROM chunks WHERE id = ?", id);
  }

  /**
   * Stages the next piece of a body.
   * @returns whether there was room
   * @throws RelayError `too_large`
   */
  stage(id: string, n: number, bytes: Uint8Array<ArrayBuffer>, now: number): boolean {
    const upload = this.upload(id);
    const staged = (upload?.bytes ?? 0) + bytes.length;
    if (bytes.length > DELIVERY_CHUNK_BYTES || staged > DELIVERY_BODY_MAX_BYTES) {
      throw new RelayError("too_large", `a piece of ${bytes.length} bytes, ${staged} in all`);
    }
    if (n !== (upload?.pieces ?? 0)) {
      // It was swept, or pieces got out of order: the body would not be the one that was sent.
      return false;
    }
    if (upload === undefined) {
      const { count } = this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM uploads").one();
      if (count >= UPLOADS_AT_ONCE) return false;
    }
    this.#addChunk(id, n, bytes);
    this.#sql.exec(
      "INSERT INTO uploads VALUES (?, ?, 1, ?) ON CONFLICT (id) DO UPDATE SET pieces = pieces + 1, bytes = bytes + excluded.bytes",
      id,
      now,
      bytes.length,
    );
    return true;
  }

  upload(id: string): Upload | undefined {
    return this.#sql.exec<Upload>("SELECT * FROM uploads WHERE id = ?", id).toArray()[0];
  }

  /** What was staged belongs to an event from now on. */
  keep(id: string): void {
    this.#sql.exec("DELETE FROM uploads WHERE id = ?", id);
  }

  /** Forgets what was staged, and never what belongs to an event. */
  abandon(id: string): void {
    if (this.upload(id) === undefined) return;
    this.#sql.exec("DELETE FROM chunks WHERE id = ?", id);
    this.keep(id);
  }

  /** The upload that began first. */
  oldestUpload(): Upload | undefined {
    return this.#sql.exec<Upload>("SELECT * FROM uploads ORDER BY began LIMIT 1").toArray()[0];
  }

  #addChunk(id: string, n: number, bytes: Uint8Array<ArrayBuffer>): void {
    rowBytes([id, bytes]);
    this.#sql.exec("INSERT INTO chunks VALUES (?, ?, ?)", id, n, bytes);
  }
}
