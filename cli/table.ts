/**
 * Rows as lines, their columns aligned.
 * @example table([["ID", "KEYS"], ["shop", "2"]]) // "ID    KEYS\nshop  2\n"
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** A moment as people and programs read it. @param seconds since 1970 */
export function moment(seconds: number): string {
  // Beyond what a date can say.
  if (!(Math.abs(seconds) < 8.64e12)) return "never";
  return new Date(seconds * 1_000).toISOString().replace(".000Z", "Z");
}

/** A value as programs read it. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
