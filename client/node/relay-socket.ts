import { isIP } from "node:net";
import { Duplex } from "node:stream";
import { RelayError } from "../../protocol/errors.ts";
import type { OpenMessage } from "../../protocol/stream-messages.ts";
import { StreamSession, type StreamSettings } from "../stream-session.ts";

/** How a socket behaves; all of it may be left out. */
export interface RelaySocketOptions {
  /** Go on writing after the target has sent all: the app ends its own side. Default: false, as with `net.Socket`. */
  readonly allowHalfOpen?: boolean;
}

type Callback = (error?: Error | null) => void;

/**
 * A TCP connection by the relay, to be used like a `net.Socket`: the same events (`connect`, `ready`, `end`, `timeout`,
 * `close`) and properties, as far as they have a meaning here. Errors are RelayErrors.
 *
 * `destroy()` lets what was written arrive, as a system's socket does; `destroy(error)` and `resetAndDestroy()` don't, and nothing does
 * before it is connected: what is sent ahead counts as written by then, and is given up with the dial.
 */
export class RelaySocket extends Duplex {
  readonly #settings: StreamSettings;
  #session: StreamSession | undefined;
  #opened: OpenMessage | undefined;
  /** What came and was not asked for yet. */
  readonly #inbox: Uint8Array[] = [];
  #isWanted = false;
  #hasEnded = false;
  /** A write or the end that waits for room, or for the connection, also where its bytes went ahead. */
  #resume: (() => void) | undefined;
  /** The callback of the write that waits. */
  #unwritten: Callback | undefined;
  #isRef = true;
  readonly #settled = Promise.withResolvers<void>();
  #isReset = false;
  #idle: NodeJS.Timeout | undefined;
  /** Milliseconds of silence after which `timeout` is told; 0 for never. */
  timeout = 0;
  /** The host that was asked for: the relay resolves names. */
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  /** Bytes received, and bytes sent or waiting to be sent. */
  bytesRead = 0;
  bytesWritten = 0;

  constructor(settings: StreamSettings, { allowHalfOpen = false }: RelaySocketOptions = {}) {
    // It tells of its close itself, and whether by an error, as `net.Socket` does.
    super({ allowHalfOpen, emitClose: false });
    this.#settings = settings;
  }

  /** The address that the target sees, once connected. */
  get egress(): string | undefined {
    return this.#opened?.egress;
  }

  /** The node that holds the connection to the target, once connected. */
  get node(): string | undefined {
    return this.#opened?.node;
  }

  /** The stream's id, of which the node logs a hash, once connected. */
  get stream(): string | undefined {
    return this.#opened?.stream;
  }

  /**
   * Resolves once nothing is under way any more: what was written has arrived, or never will. A socket that is destroyed may have
   * sent a window of bytes whose arrival is still to come.
   */
  get settled(): Promise<void> {
    return this.#session === undefined ? Promise.resolve() : this.#settled.promise;
  }

  /** Whether what is written leaves at once, also while it connects: to a target that is never connected to it goes nowhere. */
  get isEarly(): boolean {
    return this.#session?.isEarly === true;
  }

  get connecting(): boolean {
    return this.#session !== undefined && this.#opened === undefined && !this.destroyed;
  }

  get pending(): boolean {
    return this.#opened === undefined;
  }

  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.pending || this.destroyed) return "closed";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  get remoteFamily(): string | undefined {
    return familyOf(this.remoteAddress);
  }

  get localAddress(): string | undefined {
    return this.egress;
  }

  get localFamily(): string | undefined {
    return familyOf(this.egress);
  }

  /**
   * Connects: `connect({ host, port })`, `connect(port, host)`, each with a listener for `connect` if wanted.
   * @throws Error where it was connected before
   */
  connect(
    target: number | string | { readonly host?: string | undefined; readonly port: number | string },
    ...rest: readonly unknown[]
  ): this {
    if (this.#session !== undefined) throw new Error("this socket was connected before");
    const { host, port } =
      typeof target === "object"
        ? target
        : { host: rest.find((value) => typeof value === "string"), port: target };
    const listener = rest.find((value) => typeof value === "function") as (() => void) | undefined;
    if (listener !== undefined) this.once("connect", listener);
    this.remoteAddress = host ?? "localhost";
    this.remotePort = Number(port);
    this.#session = new StreamSession({ host: this.remoteAddress, port: this.remotePort }, this.#settings, {
      opened: (message) => this.#open(message),
      data: (chunk) => this.#take(chunk),
      fin: () => this.#end(),
      room: () => this.#flush(),
      reset: (error) => this.#fail(error),
      done: () => this.#settled.resolve(),
    });
    if (!this.#isRef) this.#session.keepAlive(false);
    if (this.isEarly) this.#flush();
    return this;
  }

  /** There is no delay to be set off: the relay's own connections have none. */
  setNoDelay(): this {
    return this;
  }

  /** The relay's connections are kept alive by the relay. */
  setKeepAlive(): this {
    return this;
  }

  setTimeout(milliseconds: number, listener?: () => void): this {
    this.timeout = milliseconds;
    clearTimeout(this.#idle);
    if (milliseconds > 0) {
      this.#idle = setTimeout(() => this.emit("timeout"), milliseconds).unref();
      if (listener !== undefined) this.once("timeout", listener);
    } else if (listener !== undefined) {
      this.off("timeout", listener);
    }
    return this;
  }

  address(): { readonly address?: string; readonly family?: string } {
    const { localAddress, localFamily } = this;
    return localAddress === undefined || localFamily === undefined
      ? {}
      : { address: localAddress, family: localFamily };
  }

  ref(): this {
    this.#isRef = true;
    this.#session?.keepAlive(true);
    return this;
  }

  unref(): this {
    this.#isRef = false;
    this.#session?.keepAlive(false);
    return this;
  }

  /** Ends its own side, and destroys the socket once all has been written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Destroys the socket, and lets the target's connection be reset. */
  resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#deliver();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Callback): void {
    // The caller may use its chunk again once it is written, and what is sent is kept until the target has it.
    this.#send(chunk, (piece) => Buffer.from(piece), done);
  }

  override _writev(writes: readonly { readonly chunk: Buffer }[], done: Callback): void {
    this.#send(Buffer.concat(writes.map(({ chunk }) => chunk)), (piece) => piece, done);
  }

  override _final(done: Callback): void {
    const finish = () => {
      this.#session!.finish();
      done();
    };
    if (this.#opened === undefined) this.#resume = finish;
    else finish();
  }

  override _destroy(error: Error | null, done: Callback): void {
    clearTimeout(this.#idle);
    this.#resume = undefined;
    this.#inbox.length = 0;
    const unwritten = this.#unwritten;
    this.#unwritten = undefined;
    if (error === null && !this.#isReset) this.#session?.close();
    else this.#session?.reset(new RelayError("stream_cancelled", "the client gave the connection up"));
    done(error);
    unwritten?.(error ?? new RelayError("stream_cancelled", "the socket was destroyed before this was sent"));
    process.nextTick(() => this.emit("close", error !== null));
  }

  #open(message: OpenMessage): void {
    this.#opened = message;
    this.#idle?.refresh();
    this.emit("connect");
    this.emit("ready");
    this.#flush();
  }

  #take(chunk: Uint8Array): void {
    this.bytesRead += chunk.length;
    this.#idle?.refresh();
    this.#inbox.push(chunk);
    this.#deliver();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#deliver();
  }

  /** Passes on what was asked for; only that counts as consumed, so that a slow reader slows the target. */
  #deliver(): void {
    while (this.#isWanted && this.#inbox.length > 0) {
      const chunk = this.#inbox.shift()!;
      this.#isWanted = this.push(chunk);
      this.#session?.consumed(chunk.length);
    }
    if (this.#hasEnded && this.#inbox.length === 0) this.push(null);
  }

  #send(bytes: Buffer, keep: (piece: Buffer) => Buffer, done: Callback): void {
    this.bytesWritten += bytes.length;
    this.#unwritten = done;
    let at = 0;
    const written = () => {
      this.#unwritten = undefined;
      done();
    };
    const go = () => {
      this.#idle?.refresh();
      const room = Math.min(this.#session!.room, bytes.length - at);
      if (room > 0) this.#session!.send(keep(bytes.subarray(at, (at += room))));
      if (at < bytes.length) this.#resume = go;
      else if (this.#opened === undefined) this.#resume = written;
      else written();
    };
    if (this.#opened === undefined && !this.isEarly) this.#resume = go;
    else go();
  }

  #flush(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  #fail(error: RelayError): void {
    this.#settled.resolve();
    this.destroy(error);
  }
}

function familyOf(address: string | undefined): string | undefined {
  const version = isIP(address ?? "");
  return version === 0 ? undefined : `IPv${version}`;
}
