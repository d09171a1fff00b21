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
import { type ConsumedEntry, FORBIDDEN_MARK, readEntry } from "../protocol/consumed-entries.ts";
import { isRelayError, RelayError } from "../protocol/errors.ts";
import { CONSUMED_BATCH_MAX_ENTRIES, CONSUMED_MEMORY_SECONDS } from "../protocol/limits.ts";
import { isNextAttempt, joinMarks, markOf, type Use } from "./consume-rule.ts";
import { CONSUMED_HEARD_MAX } from "./limits.ts";
import { MarkTable } from "./mark-table.ts";

const FILE = /^consumed-(\d+)\.log$/;

/**
 * Request ids that were used at this node or, as far as it was told, at its peers. An id stands in a file before its
 * request goes anywhere; the kernel keeps what was written when the process is killed, though not when the host goes down,
 * so after a start of the host (or without files of this one) ids issued before this moment are refused.
 *
 * Ids are kept in two generations, each at least as long as any request token can be good; the older is dropped whole.
 */
export class ConsumedIds {
  readonly #dir: string;
  readonly #bootId: string;
  /** Since when (seconds since 1970) this node knows what it used itself; 0 is for always. */
  readonly since: number;
  #notBefore: number;
  /** What is known of an id, by id. */
  #current = new MarkTable();
  #previous = new MarkTable();
  #heard = 0;
  #turned: number;
  #fd: number;
  #files: string[] = [];
  /** What was consumed in this turn of the event loop and is not in the file yet. */
  #batch: Batch | undefined;

  /**
   * Is given every entry that this node makes, once it stands in the file: lines, each behind a line feed, of as many as a batch may have at
   * most, and the time in seconds since 1970.
   */
  tell: (text: string, count: number, now: number) => void = () => {};

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
      const [boot, ...lines] = readFileSync(join(dir, name), "utf8").split("\n");
      if (boot !== bootId) {
        rmSync(join(dir, name));
        continue;
      }
      known = true;
      if (statSync(join(dir, name)).mtimeMs / 1_000 < now - CONSUMED_MEMORY_SECONDS) {
        rmSync(join(dir, name));
        continue;
      }
      for (const line of lines) {
        const entry = readEntry(line) ?? entryOfPart(line);
        if (entry !== undefined) {
          this.#previous.set(entry.id, joinMarks(this.#previous.get(entry.id), entry.mark));
        }
      }
      this.#files.push(name);
    }
    this.since = known ? 0 : Math.floor(now);
    this.#notBefore = this.since;
    this.#turned = now;
    this.#fd = this.#open(now);
  }

  /** Request ids issued before this moment (seconds since 1970) are refused. */
  get notBefore(): number {
    return this.#notBefore;
  }

  /** Refuses ids issued before a moment, since somebody may have used them who can't be asked. */
  refuseBefore(moment: number): void {
    this.#notBefore = Math.max(this.#notBefore, moment);
  }

  /**
   * Consumes an id, or refuses: an id is good once, but for the edge's own next attempt.
   *
   * @param id whose and which request: client id and request id
   * @param issued the token's iat, seconds since 1970
   * @throws RelayError `token_replayed`, `request_predates_node`, `node_internal` where it can't be written
   */
  consume(id: string, use: Use, issued: number, now: number): void {
    this.#record(id, this.#judge(this.#known(id), use, issued), now);
  }

  /**
   * The same with one write for all that is consumed in one turn of the event loop. Nobody else can use the id from the call on;
   * it stands in the file when this resolves.
   *
   * @returns whether the turn's reads are done, as nearly always: it was written before them where a write had to come first
   */
  async consumeInTurn(id: string, use: Use, issued: number, now: number): Promise<boolean> {
    const before = this.#known(id);
    const mark = this.#judge(before, use, issued);
    const batch = (this.#batch ??= this.#beginBatch());
    batch.now = now;
    batch.entries.push({ id, mark, before });
    this.#current.set(id, mark);
    if (batch.entries.length === CONSUMED_BATCH_MAX_ENTRIES) this.#writeBatch(false);
    return batch.written.promise;
  }

  /** The mark of a use that is let in. @param known what was used before */
  #judge(known: string | undefined, use: Use, issued: number): string {
    if (issued < this.#notBefore) {
      throw new RelayError("request_predates_node", "the token was issued before this node's memory begins");
    }
    const mark = markOf(use);
    if (known !== undefined && !isNextAttempt(known, mark)) {
      throw new RelayError("token_replayed", "this request id was used before");
    }
    return mark;
  }

  /**
   * Sees to it that nothing uses an id from now on, whether it was used or not.
   * @throws RelayError `node_internal` where it can't be written
   */
  forbid(id: string, now: number): void {
    if (this.#known(id) !== FORBIDDEN_MARK) this.#record(id, FORBIDDEN_MARK, now);
  }

  /**
   * Notes what was used elsewhere. What is known already costs nothing; the rest is one write.
   * @throws RelayError `node_internal` where it can't be written, `too_large` where it is more than a pool can have used:
   *   nothing of it counts as heard then
   */
  hear(entries: readonly ConsumedEntry[], now: number): void {
    // What could not be written would be forgotten, and what was heard of it as well.
    this.#writeBatch(false);
    const fresh: ConsumedEntry[] = [];
    for (const { id, mark } of entries) {
      const known = this.#known(id);
      const joined = joinMarks(known, mark);
      if (joined !== known) fresh.push({ id, mark: joined });
    }
    if (fresh.length === 0) return;
    if (this.#heard + fresh.length > CONSUMED_HEARD_MAX) {
      throw new RelayError("too_large", `no more than ${CONSUMED_HEARD_MAX} ids are heard at a time`);
    }
    this.#write(fresh.map(({ id, mark }) => `\n${id} ${mark}`).join(""), now);
    this.#heard += fresh.length;
    // An id may stand twice in a batch.
    for (const { id, mark } of fresh) this.#current.set(id, joinMarks(this.#known(id), mark));
  }

  /** Every entry that is remembered, as lines; entries that come while it is read may be among them. */
  *lines(): Generator<string> {
    const current = this.#current;
    for (const [id, mark] of this.#previous) if (!current.has(id)) yield `${id} ${mark}`;
    for (const [id, mark] of current) yield `${id} ${mark}`;
  }

  close(): void {
    this.#writeBatch(false);
    if (this.#fd === -1) return;
    closeSync(this.#fd);
    // What comes late must fail to be written: the number may soon be another file's.
    this.#fd = -1;
  }

  #beginBatch(): Batch {
    setImmediate(() => this.#writeBatch(true));
    return { written: Promise.withResolvers<boolean>(), entries: [], now: 0 };
  }

  /** @param isRead the turn's reads are done */
  #writeBatch(isRead: boolean): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    const { entries, now, written } = batch;
    let text = "";
    for (const { id, mark } of entries) text += `\n${id} ${mark}`;
    try {
      this.#write(text, now);
    } catch (error) {
      // What isn't written isn't known, unless it was forbidden meanwhile.
      for (const { id, mark, before } of entries.toReversed()) {
        if (this.#known(id) !== mark) continue;
        this.#current.delete(id);
        this.#previous.delete(id);
        if (before !== undefined) this.#current.set(id, before);
      }
      written.reject(error);
      return;
    }
    this.tell(text, entries.length, now);
    written.resolve(isRead);
  }

  #known(id: string): string | undefined {
    return this.#current.get(id) ?? this.#previous.get(id);
  }

  #record(id: string, mark: string, now: number): void {
    // The line end comes first: whatever a write that was cut short left behind, this is a line of its own.
    const line = `\n${id} ${mark}`;
    this.#write(line, now);
    this.#current.set(id, mark);
    this.tell(line, 1, now);
  }

  #write(text: string, now: number): void {
    try {
      if (now - this.#turned > CONSUMED_MEMORY_SECONDS) this.#turn(now);
      append(this.#fd, text);
    } catch (cause) {
      if (isRelayError(cause)) throw cause;
      throw new RelayError("node_internal", "request ids could not be recorded", { cause, reached: "no" });
    }
  }

  #turn(now: number): void {
    const fd = this.#open(now);
    closeSync(this.#fd);
    this.#fd = fd;
    // The newest file but one holds the generation that is now the previous one.
    for (const name of this.#files.splice(0, this.#files.length - 2)) {
      rmSync(join(this.#dir, name), { force: true });
    }
    const dropped = this.#previous;
    dropped.clear();
    this.#previous = this.#current;
    this.#current = dropped;
    this.#heard = 0;
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

/** Ids that are written together. */
interface Batch {
  readonly written: PromiseWithResolvers<boolean>;
  readonly entries: { readonly id: string; readonly mark: string; readonly before: string | undefined }[];
  now: number;
}

/** Of a line that was cut short behind its id, the id is used up. What is shorter can't match any. */
function entryOfPart(line: string): ConsumedEntry | undefined {
  const [client, jti] = line.split(" ");
  return readEntry(`${client} ${jti} ${FORBIDDEN_MARK}`);
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
