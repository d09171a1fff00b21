import { createHash } from "node:crypto";

/** Rows of a COPY: a number and some 90 characters that follow from it, so that either end can say what all of them are. */

/** The rows from one number up to another, in COPY's text format. */
export function rows(from: number, to: number): string {
  const lines: string[] = [];
  for (let id = from; id <= to; id++) lines.push(`${id}\t${payload(id)}\n`);
  return lines.join("");
}

/** The same in SQL: a query for the rows from 1 to `count`. */
export function rowsQuery(count: number): string {
  return `select id, md5(id::text) || md5((id + 1)::text) || md5((id + 2)::text) from generate_series(1, ${count}) id`;
}

function payload(id: number): string {
  return [id, id + 1, id + 2]
    .map((number) => createHash("md5").update(String(number)).digest("hex"))
    .join("");
}
