/** Members with changes applied: undefined takes one away. */
export function withEntries<T>(
  members: Readonly<Record<string, T>>,
  changes: ReadonlyMap<string, T | undefined>,
): Record<string, T> {
  return Object.fromEntries(
    [...Object.entries(members).filter(([name]) => !changes.has(name)), ...changes].filter(
      (entry): entry is [string, T] => entry[1] !== undefined,
    ),
  );
}

/** Limits and the like in one line. */
export function limitsText(limits: Readonly<Record<string, number>> = {}): string {
  const told = Object.entries(limits).map(([name, value]) => `${name}=${value}`);
  return told.join(" ") || "-";
}
