/** The messages of SOCKS 5 (RFC 1928) and of its user names and passwords (RFC 1929), as a server reads them. */

/** What could be read: a value and how many bytes it took; undefined where more has to come. */
export type Parsed<T> = { readonly value: T; readonly length: number } | undefined;

export const SOCKS_VERSION = 5;
export const PASSWORD_VERSION = 1;
export const PASSWORD_METHOD = 2;
export const NO_METHOD = 0xff;

/** The replies to a request that are used here (RFC 1928 section 6). */
export const REPLY = {
  succeeded: 0,
  failed: 1,
  notAllowed: 2,
  unreachable: 4,
  refused: 5,
  command: 7,
  address: 8,
} as const;

const CONNECT = 1;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const;

/** What a message is that can't be answered but by its reply. */
export class SocksError extends Error {
  readonly reply: number;

  constructor(reply: number, message: string) {
    super(message);
    this.reply = reply;
  }
}

/** The methods that a client offers. */
export function parseGreeting(bytes: Buffer): Parsed<readonly number[]> {
  if (bytes.length >= 1 && bytes[0] !== SOCKS_VERSION) throw new SocksError(REPLY.failed, "not SOCKS 5");
  if (bytes.length < 2) return undefined;
  const length = 2 + bytes[1]!;
  return bytes.length < length ? undefined : { value: [...bytes.subarray(2, length)], length };
}

/** A user name and its password. */
export function parsePassword(bytes: Buffer): Parsed<{ readonly name: Buffer; readonly password: Buffer }> {
  if (bytes.length >= 1 && bytes[0] !== PASSWORD_VERSION) throw new SocksError(REPLY.failed, "no password");
  const nameEnd = 2 + (bytes[1] ?? 0);
  if (bytes.length < nameEnd + 1) return undefined;
  const length = nameEnd + 1 + bytes[nameEnd]!;
  if (bytes.length < length) return undefined;
  return {
    value: { name: bytes.subarray(2, nameEnd), password: bytes.subarray(nameEnd + 1, length) },
    length,
  };
}

/**
 * Where a client wants to be connected to.
 * @throws SocksError for all but CONNECT to a name or an address
 */
export function parseConnect(bytes: Buffer): Parsed<{ readonly host: string; readonly port: number }> {
  if (bytes.length >= 1 && bytes[0] !== SOCKS_VERSION) throw new SocksError(REPLY.failed, "not SOCKS 5");
  if (bytes.length < 5) return undefined;
  if (bytes[1] !== CONNECT) throw new SocksError(REPLY.command, "only CONNECT is known");
  const type = bytes[3]!;
  const start = type === ADDRESS.name ? 5 : 4;
  const size = type === ADDRESS.ipv4 ? 4 : type === ADDRESS.ipv6 ? 16 : type === ADDRESS.name ? bytes[4]! : 0;
  if (size === 0) throw new SocksError(REPLY.address, "an address of no known type");
  const end = start + size;
  if (bytes.length < end + 2) return undefined;
  const host = hostOf(type, bytes.subarray(start, end));
  return { value: { host, port: bytes.readUInt16BE(end) }, length: end + 2 };
}

/** A reply; what the server is bound to is nobody's business. */
export function replyOf(reply: number): Buffer {
  return Buffer.from([SOCKS_VERSION, reply, 0, ADDRESS.ipv4, 0, 0, 0, 0, 0, 0]);
}

function hostOf(type: number, bytes: Buffer): string {
  if (type === ADDRESS.name) return bytes.toString("latin1");
  if (type === ADDRESS.ipv4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  // In its canonical form (RFC 5952), which is how targets are written.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
