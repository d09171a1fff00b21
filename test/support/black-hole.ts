import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";

/** An address that takes no connection and refuses none: what a firewall that drops packets looks like. */
export interface BlackHole {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * A listener in a thread that sleeps, with its queue full: the kernel drops what comes then.
 *
 * @param host an address of 127.0.0.0/8
 */
export async function startBlackHole(host: string): Promise<BlackHole> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const script = `
    const { parentPort, workerData } = require("node:worker_threads");
    const server = require("node:net").createServer();
    server.listen({ host: workerData.host, port: 0, backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      setImmediate(() => { Atomics.wait(workerData.gate, 0, 0); process.exit(); });
    });
  `;
  const worker = new Worker(script, { eval: true, workerData: { host, gate } });
  const [port] = (await once(worker, "message")) as [number];
  const fillers: Socket[] = [];
  for (let isOpen = true; isOpen;) {
    const filler = connect({ host, port }).on("error", () => {});
    fillers.push(filler);
    isOpen = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), 200);
      filler.once("connect", () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
  return {
    port,
    async close() {
      for (const filler of fillers) filler.destroy();
      const exited = once(worker, "exit");
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await exited;
    },
  };
}
