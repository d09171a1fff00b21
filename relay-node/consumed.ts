import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { uptime } from "node:os";
import { isRelayError, RelayError } from "../protocol/errors.ts";
import { CONSUMED_MEMORY_SECONDS } from "../protocol/limits.ts";

const FILE = /^consumed-(\d+)\.log$/;

/**
 * Request ids that were used at this node. An id stands in a file before its request goes anywhere; the kernel keeps
 * what was written when the process is killed, though not when the host goes down, so after a start of the host (or
 * without files of this one) ids issued before this moment are refused.
 *
 * Ids are kept in two generations, each at least as long as any request token can be good; the older is dropped whole.
 */
export class ConsumedIds {
  readonly #dir: string;
  readonly #bootId: string;
  /** Request ids issued before this moment (seconds since 1970) are refused. */
  readonly notBefore: number;
  #current = new Set<string>();
  #previous = new Set<string>();
  #turned: number;
  #fd: number;
  #files: string[] = [];

  /**
   * @param dir folder, made where it is not there
   * @param now seconds since 1970
   * @param bootId changes whenever the host starts
   */
  constructor(dir: string, now: number, bootId: string = currentBootId()) {
    this.#dir = dir;
    this.#bootId = bootId;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    let known = false;
    const files = readdirSync(dir)
      .map((name) => ({ name, started: Number(FILE.exec(name)?.[1]) }))
      .filter(({ started }) => Number.isFinite(started))
      .toSorted((a, b) => a.started - b.started);
    for (const { name } of files) {
      const [boot, ...ids] = readFileSync(join(dir, name), "utf8").split("\n");
      if (boot !== bootId) {
        rmSync(join(dir, name));
        continue;
      }
      known = true;
      if (statSync(join(dir, name)).mtimeMs / 1_000 < now - CONSUMED_MEMORY_SECONDS) {
        rmSync(join(dir, name));
        continue;
      }
      // What was cut short is too short to match any id.
      for (const id of ids) this.#previous.add(id);
      this.#files.push(name);
    }
    this.notBefore = known ? 0 : Math.floor(now);
    this.#turned = now;
    this.#fd = this.#open(now);
  }

  /**
   * Consumes an id, or refuses.
   *
   * @param id whose and which request: client id and request id
   * @param issued the token's iat, seconds since 1970
   * @throws RelayError `token_replayed`, `request_predates_node`, `node_internal` where it can't be written
   */
  consume(id: string, issued: number, now: number): void {
    if (issued < this.notBefore) {
      throw new RelayError("request_predates_node", "the token was issued before this node's memory begins");
    }
    try {
      if (now - this.#turned > CONSUMED_MEMORY_SECONDS) this.#turn(now);
      if (this.#current.has(id) || this.#previous.has(id)) {
        throw new RelayError("token_replayed", "this request id was used before");
      }
      // The line end comes first: whatever a write that was cut short left behind, this is a line of its own.
      append(this.#fd, `\n${id}`);
    } catch (cause) {
      if (isRelayError(cause)) throw cause;
      throw new RelayError("node_internal", "the request id could not be recorded", { cause, reached: "no" });
    }
    this.#current.add(id);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #turn(now: number): void {
    const fd = this.#open(now);
    closeSync(this.#fd);
    this.#fd = fd;
    // The newest file but one holds the generation that is now the previous one.
    for (const name of this.#files.splice(0, this.#files.length - 2)) {
      rmSync(join(this.#dir, name), { force: true });
    }
    this.#previous = this.#current;
    this.#current = new Set();
    this.#turned = now;
  }

  #open(now: number): number {
    const name = `consumed-${Math.floor(now * 1_000)}.log`;
    const fd = openSync(join(this.#dir, name), "a", 0o600);
    // A second start within one second goes on in the same file.
    if (!this.#files.includes(name)) {
      try {
        append(fd, this.#bootId);
      } catch (error) {
        closeSync(fd);
        rmSync(join(this.#dir, name), { force: true });
        throw error;
      }
    }
    this.#files = [...this.#files.filter((file) => file !== name), name];
    return fd;
  }
}

/** A disk that is nearly full takes a part, and says so by the count alone. */
function append(fd: number, text: string): void {
  if (writeSync(fd, text) !== Buffer.byteLength(text)) throw new Error("written in part alone");
}

function currentBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Elsewhere than on Linux: the moment of the start, to the minute, since uptime is rounded.
    return `boot-${Math.round((Date.now() / 1_000 - uptime()) / 60)}`;
  }
}
