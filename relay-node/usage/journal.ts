import {
  closeSync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { newRequestId } from "../../protocol/tokens.ts";
import { CountsByMonth, type Entry } from "./counts.ts";
import { headOf, lineOf, readHead, readLine } from "./journal-lines.ts";
import { USAGE_JOURNAL_BYTES } from "./limits.ts";

const FILE = "usage.log";

const synced = promisify(fsync);

/**
 * The file that holds what a node has counted: a line for each addition, written at once, so that it survives the process's
 * kill; the host's fall only as far as `sync` went. It carries a random name, the epoch: a file that is lost begins another one, at
 * zero.
 */
export class UsageJournal {
  readonly epoch: string;
  /** What stands in the file. */
  readonly totals = new CountsByMonth();
  readonly #path: string;
  readonly #maxBytes: number;
  #fd: number;
  #bytes: number;
  #renewAt: number;
  /** The file that is to take this one's place, while it is being brought to the disk. */
  #next: { readonly fd: number; bytes: number } | undefined;

  /**
   * Goes on with the folder's file, or begins one.
   * @param dir folder, made where it is not there
   * @param maxBytes a file of this length is written anew
   * @throws the system's error where it can't be read or made
   */
  constructor(dir: string, maxBytes = USAGE_JOURNAL_BYTES) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#path = join(dir, FILE);
    this.#maxBytes = maxBytes;
    const [head = "", ...lines] = textOf(this.#path).split("\n");
    const epoch = readHead(head);
    for (const line of epoch === undefined ? [] : lines) {
      const entry = readLine(line);
      if (entry !== undefined) this.totals.add(entry);
    }
    // What can't be read is somebody else's, or broken: it is left to be looked at.
    if (epoch === undefined && head !== "") renameSync(this.#path, `${this.#path}.unreadable`);
    this.epoch = epoch ?? newRequestId();
    if (epoch === undefined) {
      const made = this.#write(this.#begin());
      renameSync(`${this.#path}.next`, this.#path);
      this.#fd = made.fd;
      this.#bytes = made.bytes;
    } else {
      this.#fd = openSync(this.#path, "a", 0o600);
      this.#bytes = fstatSync(this.#fd).size;
    }
    this.#renewAt = maxBytes;
  }

  /**
   * Adds to what is counted: it stands in the file when this returns.
   * @throws the system's error, or one of its own where it was written in part: nothing is added then
   */
  add(entries: Iterable<Entry>): void {
    const all = [...entries];
    let text = "";
    for (const entry of all) text += lineOf(entry);
    append(this.#fd, text, this.#bytes);
    this.#bytes += text.length;
    for (const entry of all) this.totals.add(entry);
    if (this.#next === undefined) return;
    try {
      append(this.#next.fd, text, this.#next.bytes);
      this.#next.bytes += text.length;
    } catch {
      this.#giveUp();
    }
  }

  /**
   * Brings what is counted by now to the disk, and writes the file anew where it has grown long.
   * @throws the system's error
   */
  async sync(): Promise<void> {
    if (this.#bytes > this.#renewAt) await this.#renew();
    else await synced(this.#fd);
  }

  close(): void {
    this.#giveUp();
    if (this.#fd === -1) return;
    closeSync(this.#fd);
    // What comes late must fail to be written: the number may soon be another file's.
    this.#fd = -1;
  }

  /** What is added meanwhile goes into both files; the new one takes the old one's place once it is on the disk. */
  async #renew(): Promise<void> {
    const next = this.#write(this.#begin());
    this.#next = next;
    try {
      await synced(next.fd);
      if (this.#next !== next) return;
      renameSync(`${this.#path}.next`, this.#path);
      closeSync(this.#fd);
      this.#fd = next.fd;
      this.#bytes = next.bytes;
      // With very many clients it is long as it is.
      this.#renewAt = Math.max(this.#maxBytes, 2 * next.bytes);
      this.#next = undefined;
    } catch (error) {
      this.#giveUp();
      throw error;
    }
  }

  #begin(): string {
    return headOf(this.epoch) + [...this.totals].map((entry) => lineOf(entry)).join("");
  }

  #write(text: string): { readonly fd: number; bytes: number } {
    rmSync(`${this.#path}.next`, { force: true });
    const fd = openSync(`${this.#path}.next`, "a", 0o600);
    try {
      append(fd, text, 0);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return { fd, bytes: text.length };
  }

  #giveUp(): void {
    if (this.#next === undefined) return;
    closeSync(this.#next.fd);
    this.#next = undefined;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Appends ASCII to a file of this length. A disk that is nearly full takes a part, and says so by the count alone: it is taken
 * back, since whole lines may be among it, and all are written again.
 */
function append(fd: number, text: string, length: number): void {
  if (text === "" || writeSync(fd, text) === text.length) return;
  ftruncateSync(fd, length);
  throw new Error("written in part alone");
}
