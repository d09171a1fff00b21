import type { Read } from "./message-reader.ts";
import { SOCKS_REPLY } from "./socks-replies.ts";

/** The messages of SOCKS 5 (RFC 1928) and of its user and password (RFC 1929). */

/** A message that can't be answered otherwise than by this reply, or by closing where there is none. */
export class SocksRefusal extends Error {
  override readonly name = "SocksRefusal";
  readonly reply: number | undefined;

  constructor(why: string, reply?: number) {
    super(why);
    this.reply = reply;
  }
}

export const NO_METHOD = Uint8Array.from([5, 0xff]);
export const PASSWORD_METHOD = Uint8Array.from([5, 2]);
export const ADMITTED = Uint8Array.from([1, 0]);
export const NOT_ADMITTED = Uint8Array.from([1, 1]);

/** Whether the methods that a client offers hold the one with user and password. Undefined: more bytes are needed. */
export function readGreeting(bytes: Uint8Array): Read<boolean> | undefined {
  if (bytes.length > 0 && bytes[0] !== 5) throw new SocksRefusal("this is no SOCKS 5");
  if (bytes.length < 2 || bytes.length < 2 + bytes[1]!) return undefined;
  const length = 2 + bytes[1]!;
  return { value: bytes.subarray(2, length).includes(2), length };
}

/** @throws SocksRefusal */
export function readPassword(
  bytes: Uint8Array,
): Read<{ readonly user: string; readonly password: string }> | undefined {
  if (bytes.length > 0 && bytes[0] !== 1) throw new SocksRefusal("this is no user and password");
  if (bytes.length < 2) return undefined;
  const at = 2 + bytes[1]!;
  if (bytes.length <= at) return undefined;
  const length = at + 1 + bytes[at]!;
  if (bytes.length < length) return undefined;
  return {
    value: { user: utf8(bytes.subarray(2, at)), password: utf8(bytes.subarray(at + 1, length)) },
    length,
  };
}

/** The host as text: a name, or an address without brackets. @throws SocksRefusal */
export function readRequest(
  bytes: Uint8Array,
): Read<{ readonly host: string; readonly port: number }> | undefined {
  if (bytes.length > 0 && bytes[0] !== 5) throw new SocksRefusal("this is no SOCKS 5");
  if (bytes.length < 5) return undefined;
  const [, command, , type, first] = bytes as unknown as [number, number, number, number, number];
  const size = { 1: 4, 3: 1 + first, 4: 16 }[type];
  if (size === undefined) {
    throw new SocksRefusal("this address type is not known", SOCKS_REPLY.addressTypeNotSupported);
  }
  const length = 4 + size + 2;
  if (bytes.length < length) return undefined;
  if (command !== 1) throw new SocksRefusal("only CONNECT is served", SOCKS_REPLY.commandNotSupported);
  return {
    value: { host: hostOf(type, bytes.subarray(4, 4 + size)), port: uint16(bytes, 4 + size) },
    length,
  };
}

/** A reply. In place of the address that the connection was made from it has zeros: for CONNECT, nobody uses it. */
export function replyBytes(reply: number): Uint8Array {
  return Uint8Array.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
}

function hostOf(type: number, bytes: Uint8Array): string {
  if (type === 1) return bytes.join(".");
  if (type === 3) return String.fromCharCode(...bytes.subarray(1));
  const groups = Array.from({ length: 8 }, (_, index) => uint16(bytes, 2 * index).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
