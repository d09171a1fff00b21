import { EventEmitter } from "node:events";
import { getSystemErrorName } from "node:util";
import type { Lender } from "../splice/lender.ts";
import type { Connection } from "./connection.ts";
import { insides, type Request, type TcpHandle, type WriteRequest } from "./insides.ts";

/** libuv's word for an end. */
const EOF = -4_095;

/** One connection to open. */
export interface BareConnect {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
  readonly localAddress: string;
  /** 0: as the system chooses. */
  readonly localPort: number;
}

/** Hears what a socket says. */
export interface BareHearer {
  data(bytes: Buffer): void;
  end(): void;
  /** It is closed: those who listen for that hear it, too. */
  close(): void;
}

/** A handle that knows whose it is. */
type OwnHandle = TcpHandle & { owner?: BareSocket | undefined };

/** Where names are told: one object that has all that is told of one. */
const NAME = { address: "", family: "", port: 0 };

/** Those that were closed in this turn and have not told so. */
let closing: BareSocket[] = [];

/**
 * A TCP connection without Node's streams over it: setting one up, and ending it, costs a third of what a `net.Socket` does. Reads are
 * told by `data`, or go into the buffers of a lender; each write is handed to the system at once, and what that doesn't take waits in
 * libuv. It reads from its first `resume` on, and is destroyed when both sides have ended.
 */
export class BareSocket extends EventEmitter implements Connection {
  destroyed = false;
  closed = false;
  readableEnded = false;
  writableEnded = false;
  writableFinished = false;
  /** Bytes that wait in libuv. */
  writableLength = 0;
  /** Hears what comes in place of those who listen for it, for less than listeners cost. */
  hearer: BareHearer | undefined;
  /** Nothing that was read is kept here. */
  readonly readableLength = 0;
  #handle: OwnHandle | undefined;
  #lender: Lender | undefined;
  /** What the handle reads into: it must not be collected before. */
  #buffer: Uint8Array | undefined;
  #isReading = false;
  /** It ends its side once the system has all that was written: until then a reset is still one. */
  #isEnding = false;
  #isShuttingDown = false;
  #error: Error | undefined;
  #remoteAddress: string | undefined;
  /** One that no write under way has. */
  #spare: WriteRequest | undefined;

  /** @param handle of a connection that stands, or is about to */
  constructor(handle: TcpHandle) {
    super();
    this.#handle = handle;
    this.#handle.owner = this;
    handle.onread = onRead;
  }

  /**
   * Opens one: it tells by `connect` that it stands, by `error` that it failed. What is written goes at once (TCP_NODELAY).
   * @throws RangeError where the port is none
   */
  static connect({ address, port, family, localAddress, localPort }: BareConnect): BareSocket {
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new RangeError(`${port} is no port`);
    const { TCP, TCPConnectWrap, constants } = insides!;
    const handle = new TCP(constants.SOCKET);
    const socket = new BareSocket(handle);
    handle.setNoDelay(true);
    const bound =
      family === 4
        ? handle.bind(localAddress, localPort)
        : handle.bind6(localAddress, localPort, constants.UV_TCP_IPV6ONLY);
    if (bound !== 0) return socket.destroy(systemError(bound, "bind"));
    const request = new TCPConnectWrap();
    request.oncomplete = BareSocket.#onConnect;
    const asked =
      family === 4 ? handle.connect(request, address, port) : handle.connect6(request, address, port);
    return asked === 0 ? socket : socket.destroy(systemError(asked, "connect"));
  }

  /** Of the peer; undefined once it has gone. */
  get remoteAddress(): string | undefined {
    if (this.#remoteAddress !== undefined || this.#handle === undefined) return this.#remoteAddress;
    if (this.#handle.getpeername(NAME) === 0) this.#remoteAddress = NAME.address;
    return this.#remoteAddress;
  }

  get writable(): boolean {
    return !this.writableEnded && !this.destroyed;
  }

  /**
   * Lets go of its handle, for whoever makes something else of it: it is none any more, and tells nobody. Nothing may have been lent to
   * it.
   */
  release(): TcpHandle {
    const handle = this.#handle!;
    if (this.#isReading) handle.readStop();
    handle.owner = undefined;
    this.#handle = undefined;
    this.destroyed = true;
    this.closed = true;
    return handle;
  }

  /** Reads into a lender's buffers from now on. */
  lend(lender: Lender): void {
    this.#lender = lender;
    this.rebind();
  }

  /** Reads into what the lender names now, without a read in between. */
  rebind(): void {
    const buffer = this.#lender!.buffer();
    this.#buffer = buffer;
    this.#handle?.useUserBuffer(buffer);
  }

  read(): null {
    return null;
  }

  resume(): this {
    if (this.#isReading || this.#handle === undefined || this.readableEnded) return this;
    this.#isReading = true;
    const error = this.#handle.readStart();
    return error === 0 ? this : this.destroy(systemError(error, "read"));
  }

  pause(): this {
    if (!this.#isReading) return this;
    this.#isReading = false;
    this.#handle?.readStop();
    return this;
  }

  /** @param written called once the system has it, where it didn't take it at once: true came back then */
  write(chunk: Uint8Array | string, written?: (error?: Error | null) => void): boolean {
    const handle = this.#handle;
    if (handle === undefined || this.writableEnded) return false;
    const request = (this.#spare ??= new insides!.WriteWrap());
    const error =
      typeof chunk === "string" ? handle.writeUtf8String(request, chunk) : handle.writeBuffer(request, chunk);
    if (error !== 0) {
      this.destroy(systemError(error, "write"));
      return false;
    }
    const { streamBaseState, kLastWriteWasAsync, kBytesWritten } = insides!;
    if (streamBaseState[kLastWriteWasAsync] === 0) return true;
    this.#spare = undefined;
    const length = streamBaseState[kBytesWritten]!;
    if (typeof chunk !== "string") request.bytes = chunk;
    this.writableLength += length;
    const onWritten = (status: number) => this.#onWritten(status, length, written);
    request.oncomplete = onWritten;
    return false;
  }

  /** Ends its side behind what was written. */
  end(last?: string | Uint8Array): this {
    if (this.writableEnded || this.#handle === undefined) return this;
    if (last !== undefined) this.write(last);
    this.writableEnded = true;
    if (this.destroyed) return this;
    // A close says it as well, where nothing can come any more.
    if (this.readableEnded && this.writableLength === 0) {
      this.writableFinished = true;
      return this.destroy();
    }
    this.#isEnding = true;
    if (this.writableLength === 0) this.#shutDown();
    return this;
  }

  #shutDown(): void {
    const request: Request = new insides!.ShutdownWrap();
    const onShutDown = (status: number) => this.#onShutDown(status);
    request.oncomplete = onShutDown;
    this.#isShuttingDown = true;
    const error = this.#handle!.shutdown(request);
    if (error !== 0) this.destroy(systemError(error, "shutdown"));
  }

  /** Closes it; `close`, and `error` before where there is one, are told in a moment. */
  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.#close(error).close();
    return this;
  }

  /** Ends it so that its peer can't take it for a proper end. */
  reset(): void {
    if (this.destroyed) return;
    // libuv resets nothing that is ending (EINVAL): its bytes are the system's by then, so that a close cuts nothing.
    const isEnding = this.#isShuttingDown && !this.writableFinished;
    const handle = this.#close(undefined);
    if (isEnding || handle.reset() !== 0) handle.close();
  }

  #close(error: Error | undefined): OwnHandle {
    const handle = this.#handle!;
    this.destroyed = true;
    this.#error = error;
    this.#handle = undefined;
    this.#lender = undefined;
    if (this.#isReading) handle.readStop();
    if (closing.length === 0) void SOON.then(tellClosed);
    closing.push(this);
    return handle;
  }

  /** Tells that it is closed. */
  tellClosed(): void {
    this.#buffer = undefined;
    // Whoever doesn't listen for errors hears of the close.
    if (this.#error !== undefined && this.listenerCount("error") > 0) this.emit("error", this.#error);
    this.closed = true;
    this.hearer?.close();
    this.emit("close");
  }

  static #onConnect(this: void, status: number, handle: TcpHandle): void {
    const { owner } = handle as OwnHandle;
    if (owner === undefined || owner.destroyed) return;
    if (status === 0) owner.emit("connect");
    else owner.destroy(systemError(status, "connect"));
  }

  /** For its handle. @returns what is read into next, where that is another buffer */
  heard(bytes: ArrayBuffer | undefined): Uint8Array | undefined {
    const { streamBaseState, kReadBytesOrError, kArrayBufferOffset } = insides!;
    const length = streamBaseState[kReadBytesOrError]!;
    if (length === 0 || this.destroyed) return undefined;
    if (length < 0) {
      if (length === EOF) this.#onEnd();
      else this.destroy(systemError(length, "read"));
      return undefined;
    }
    if (this.#lender === undefined) {
      const data = Buffer.from(bytes!, streamBaseState[kArrayBufferOffset], length);
      if (this.hearer === undefined) this.emit("data", data);
      else this.hearer.data(data);
      return undefined;
    }
    if (!this.#lender.took(length)) this.pause();
    const next = this.#lender?.buffer();
    if (next === undefined || next === this.#buffer) return undefined;
    return (this.#buffer = next);
  }

  #onEnd(): void {
    this.pause();
    this.readableEnded = true;
    if (this.hearer === undefined) this.emit("end");
    else this.hearer.end();
    if (this.writableFinished) this.destroy();
  }

  #onWritten(status: number, length: number, written: ((error?: Error | null) => void) | undefined): void {
    if (this.destroyed) return;
    this.writableLength -= length;
    if (status < 0) this.destroy(systemError(status, "write"));
    else written?.();
    if (this.#isEnding && this.writableLength === 0 && !this.#isShuttingDown && !this.destroyed) {
      this.#shutDown();
    }
  }

  #onShutDown(status: number): void {
    if (this.destroyed) return;
    // A peer that has gone meanwhile is told of by what is read.
    if (status < 0 && status !== NOT_CONNECTED) {
      this.destroy(systemError(status, "shutdown"));
      return;
    }
    this.writableFinished = true;
    if (this.readableEnded) this.destroy();
  }
}

/** What is chained to it comes right behind the code that runs, for less than what `queueMicrotask` makes of it. */
const SOON = Promise.resolve();

/** ENOTCONN, as libuv has it. */
const NOT_CONNECTED = -107;

function onRead(this: TcpHandle, bytes?: ArrayBuffer): Uint8Array | undefined {
  const { owner } = this as OwnHandle;
  return owner === undefined ? undefined : owner.heard(bytes);
}

function tellClosed(): void {
  const sockets = closing;
  closing = [];
  for (const socket of sockets) socket.tellClosed();
}

function systemError(number: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: number, syscall });
}
