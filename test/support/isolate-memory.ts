import { setTimeout as sleep } from "node:timers/promises";

/** What V8 says that an isolate holds, in bytes: its heap and the buffers that lie outside of it. */
interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

/** Looks at an isolate by its inspector. */
export interface IsolateMemory {
  /** The most that it has been seen to hold with its garbage collected, in MB; looks go on until then. */
  peak(): Promise<number>;
}

/**
 * Looks as often as it can, each time after a collection: what a limit of an isolate's memory ends is what is left then.
 * @param port of the inspector, which workerd serves for its one worker
 */
export async function watchIsolate(port: number): Promise<IsolateMemory> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/edge`);
  await new Promise((open, failed) => {
    socket.addEventListener("open", open);
    socket.addEventListener("error", failed);
  });
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id !== undefined) waiting.get(id)?.(result);
  });
  let calls = 0;
  const call = (method: string) =>
    new Promise<unknown>((done) => {
      waiting.set(++calls, done);
      socket.send(JSON.stringify({ id: calls, method, params: {} }));
    });
  await call("HeapProfiler.enable");
  let most = 0;
  const over = new AbortController();
  const looking = (async () => {
    while (!over.signal.aborted) {
      await call("HeapProfiler.collectGarbage");
      const usage = (await call("Runtime.getHeapUsage")) as HeapUsage;
      const held = usage.usedSize + (usage.embedderHeapUsedSize ?? 0) + (usage.backingStorageSize ?? 0);
      most = Math.max(most, held / 1e6);
      await sleep(100);
    }
  })();
  return {
    async peak() {
      over.abort();
      await looking;
      socket.close();
      return most;
    },
  };
}
