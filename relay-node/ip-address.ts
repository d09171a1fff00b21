import { isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

/**
 * IP addresses and ranges as integers: the one place where address text is read. What is not written
 * canonically is not read at all, so that no other parser on the way can see another address in the same
 * text.
 */

/** An address as 32-bit words, most significant first: one for IPv4, four for IPv6. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly words: readonly number[];
}

/** A range of addresses: `words` holds its first address, `masks` the bits that all its addresses share. */
export interface IpRange extends IpAddress {
  readonly masks: readonly number[];
  /** Prefix length. */
  readonly bits: number;
}

/**
 * Reads an address. IPv4 must be dotted decimal, four parts without leading zeros; IPv6 may be any text of
 * RFC 4291 section 2.2, without a zone.
 *
 * @returns undefined for anything else
 * @example parseIp("127.0.0.1") // { family: 4, words: [0x7f000001] }
 * @example parseIp("0x7f.1") // undefined
 */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(":")) {
    const word = parseDotted(text);
    return word === undefined ? undefined : { family: 4, words: [word] };
  }
  // isIPv6 takes zones, which mean something on one host alone.
  if (text.includes("%") || !isIPv6(text)) return undefined;
  const { parts } = ipaddr.IPv6.parse(withoutDots(text));
  return { family: 6, words: [0, 2, 4, 6].map((index) => parts[index]! * 0x10000 + parts[index + 1]!) };
}

/**
 * Reads a range in CIDR notation, with no bit set beyond the prefix: `10.1.2.3/8` is more likely a mistake
 * than a /8.
 *
 * @throws Error naming the entry
 * @example parseCidr("10.0.0.0/8").bits // 8
 */
export function parseCidr(text: string): IpRange {
  const fail = (why: string) => new Error(`${JSON.stringify(text.slice(0, 80))} is no address range: ${why}`);
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  if (match === null) throw fail("write an address, a slash and the prefix length");
  const address = parseIp(match[1]!);
  if (address === undefined) throw fail("what stands before the slash is no address");
  const bits = Number(match[2]);
  const width = address.words.length * 32;
  if (bits > width) throw fail(`the prefix of IPv${address.family} has at most ${width} bits`);
  const masks = address.words.map((_, index) => maskOf(bits - index * 32));
  if (address.words.some((word, index) => (word & ~masks[index]!) !== 0)) {
    throw fail("it has bits set beyond its prefix");
  }
  return { ...address, masks, bits };
}

/** Whether an address lies in a range. */
export function isInRange({ family, words }: IpAddress, range: IpRange): boolean {
  if (family !== range.family) return false;
  for (let index = 0; index < words.length; index++) {
    if (((words[index]! ^ range.words[index]!) & range.masks[index]!) !== 0) return false;
  }
  return true;
}

/** Whether two addresses are the same one. */
export function isSameIp(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.words.every((word, index) => word === b.words[index]);
}

/**
 * The first `bits` bits of a word set; JavaScript shifts by the count modulo 32, so both ends are cases of
 * their own.
 */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

function parseDotted(text: string): number | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  const [a, b, c, d] = ipaddr.IPv4.parse(text).octets;
  return ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0;
}

/** The last 32 bits in hexadecimal where they stand in decimal: ipaddr.js reads `::1.2.3.4` as `::ffff:1.2.3.4`. */
function withoutDots(text: string): string {
  const dotted = /[^:]*\.[^:]*$/.exec(text)?.[0];
  if (dotted === undefined) return text;
  const word = parseDotted(dotted)!;
  return `${text.slice(0, -dotted.length)}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
}

/** An IPv4 caller of a dual-stack listener shows as a mapped address. */
export function plainAddress(address = ""): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}
