/**
 * Says whether a timer keeps its process alive, in runtimes that have processes.
 * @param timer what `setTimeout` or `setInterval` returned
 */
export function keepAlive(timer: unknown, isWanted: boolean): void {
  const { ref, unref } = Object(timer) as { ref?: () => void; unref?: () => void };
  (isWanted ? ref : unref)?.call(timer);
}
