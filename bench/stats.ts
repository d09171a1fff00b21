/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return Number.isInteger(half) ? (sorted[half - 1]! + sorted[half]!) / 2 : sorted[Math.floor(half)]!;
}

/** Three figures that count, without a comma in large numbers. */
export function rounded(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}
