import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { withLock } from "./file-lock.ts";

/**
 * Edits a hosts file where it stands: containers mount it as a file of its own, so it can't be replaced by another one. Agents
 * that do so at once take turns.
 *
 * @param edit gets and gives the text, one character for each byte
 * @throws Error of the system's where the file can't be written; AgentError where the lock can't be had
 */
export async function editHosts(path: string, edit: (text: string) => string): Promise<void> {
  const { dev, ino } = statSync(path, { bigint: true });
  await withLock(`holdfast-hosts-${dev}-${ino}`, () => {
    const file = openSync(path, "r+");
    try {
      const before = readFileSync(file);
      const after = Buffer.from(edit(before.toString("latin1")), "latin1");
      if (!before.equals(after)) overwrite(file, before, after);
    } finally {
      closeSync(file);
    }
  });
}

/**
 * Wherever this is cut off, what stands in the file is lines: it is made as long as it has to be by empty lines, then written over
 * by one call, then cut behind its last line. A full disk is met before anything was written over.
 */
function overwrite(file: number, before: Buffer, after: Buffer): void {
  const missing = after.length - before.length;
  try {
    if (missing > 0) writeAll(file, Buffer.alloc(missing, "\n"), before.length);
    writeAll(file, missing < 0 ? Buffer.concat([after, Buffer.alloc(-missing, "\n")]) : after, 0);
  } catch (error) {
    writeAll(file, before, 0);
    ftruncateSync(file, before.length);
    throw error;
  }
  if (fstatSync(file).size > after.length) ftruncateSync(file, after.length);
  fsyncSync(file);
}

function writeAll(file: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}
