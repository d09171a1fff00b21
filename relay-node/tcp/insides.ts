/**
 * What Node's own sockets are made of: a handle of libuv's, which JavaScript may do without streams over it. It is no public API of
 * Node's, so it is looked for, tried at a start, and done without where it isn't as expected.
 */

/** A connection, or what listens for them. Numbers that come back are 0, or libuv's negative error. */
export interface TcpHandle {
  onread: ((this: TcpHandle, bytes?: ArrayBuffer) => Uint8Array | undefined) | undefined;
  onconnection: ((this: TcpHandle, error: number, handle?: TcpHandle) => void) | undefined;
  readStart(): number;
  readStop(): number;
  /** Reads go there from now on. */
  useUserBuffer(buffer: Uint8Array): void;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  writeUtf8String(request: WriteRequest, text: string): number;
  shutdown(request: Request): number;
  close(done?: () => void): void;
  reset(done?: () => void): number;
  setNoDelay(isOn: boolean): number;
  setKeepAlive(isOn: boolean, seconds: number): number;
  getpeername(name: { address?: string }): number;
  bind(address: string, port: number, flags?: number): number;
  bind6(address: string, port: number, flags?: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
}

/** What is told of when it is done. */
export interface Request {
  oncomplete: ((this: Request, status: number) => void) | undefined;
}

export interface WriteRequest extends Request {
  /** Kept for as long as the system reads from it. */
  bytes?: Uint8Array;
}

export interface ConnectRequest {
  oncomplete: ((status: number, handle: TcpHandle) => void) | undefined;
}

interface Insides {
  readonly TCP: new (kind: number) => TcpHandle;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly constants: { readonly SOCKET: number; readonly UV_TCP_IPV6ONLY: number };
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => Request;
  /** What the last call of a handle's did, by the numbers below. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kArrayBufferOffset: number;
  readonly kBytesWritten: number;
  readonly kLastWriteWasAsync: number;
}

/** Undefined where this Node has none, or others than are known. */
export const insides: Insides | undefined = find();

function find(): Insides | undefined {
  try {
    const node = process as unknown as { binding(name: string): Record<string, unknown> };
    const found = { ...node.binding("tcp_wrap"), ...node.binding("stream_wrap") } as unknown as Insides;
    const { TCP, TCPConnectWrap, WriteWrap, ShutdownWrap, constants } = found;
    const isThere = [TCP, TCPConnectWrap, WriteWrap, ShutdownWrap].every((one) => typeof one === "function");
    const { kReadBytesOrError, kArrayBufferOffset, kBytesWritten, kLastWriteWasAsync } = found;
    const numbers = [
      constants.SOCKET,
      constants.UV_TCP_IPV6ONLY,
      kReadBytesOrError,
      kArrayBufferOffset,
      kBytesWritten,
      kLastWriteWasAsync,
    ];
    return isThere && ArrayBuffer.isView(found.streamBaseState) && numbers.every(Number.isInteger)
      ? found
      : undefined;
  } catch {
    // As with Node's permissions in force.
    return undefined;
  }
}
