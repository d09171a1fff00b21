/** Puts a value into a bounded map as its newest; the oldest is forgotten where it holds more than `max`. */
export function keepNewest<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value!);
}
