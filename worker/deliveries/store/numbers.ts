/** So many events may be accepted in one millisecond before the next one's numbers are used. */
const PER_MS = 1_024;

/** The number of the event that comes after the last one: events are numbered in the order in which they were accepted. */
export function numberAt(now: number, last: number): number {
  return Math.max(last + 1, now * PER_MS);
}

/** When an event was accepted, in milliseconds since 1970. */
export function acceptedAt(seq: number): number {
  return Math.floor(seq / PER_MS);
}

/** The first number of a millisecond. */
export function firstNumberOf(ms: number): number {
  return ms * PER_MS;
}
