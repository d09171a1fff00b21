import { writeSync } from "node:fs";
import { Writable } from "node:stream";

/** How long an output that can take nothing is left alone before it is tried again. */
const FULL_MS = 10;

const OUTPUTS = [
  ["stdout", 1],
  ["stderr", 2],
] as const;

/**
 * Keeps stdout and stderr as the command finds them. Node makes a pipe non-blocking as soon as `process.stdout` or
 * `process.stderr` is looked at, which any `pipe()` does, and with that for every process that shares the pipe: the command's
 * own writes then fail (EAGAIN) as soon as its reader is slow. From here on both are written to at once, and waited for.
 */
export function keepOutputsBlocking(): void {
  for (const [name, fd] of OUTPUTS) {
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        try {
          writeWhole(fd, chunk);
          done();
        } catch (error) {
          done(error as Error);
        }
      },
    });
    // A reader that is gone ends nothing: the command itself finds out.
    stream.on("error", () => {});
    Object.defineProperty(process, name, { value: stream, configurable: true, enumerable: true });
  }
}

/** @throws Error the system's, where nobody reads any more */
function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      // Whoever started this process has made it so.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_MS);
    }
  }
}
