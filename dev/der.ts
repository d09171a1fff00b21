/** The few DER encodings (ITU-T X.690) that a certificate is made of. */

function tagged(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length =
    content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >>> 8, content.length & 0xff];
  if (content.length > 0xffff) throw new RangeError("contents of more than 65535 bytes are not needed here");
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** @example sequence(integer(Buffer.from([1]))) // 30 03 02 01 01 */
export function sequence(...items: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...items);
}

/** A set of one. */
export function set(item: Uint8Array): Buffer {
  return tagged(0x31, item);
}

/** @param bytes big-endian two's complement, as short as can be */
export function integer(bytes: Uint8Array): Buffer {
  return tagged(0x02, bytes);
}

export function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

/** @param unused how many bits of the last byte do not count */
export function bitString(bytes: Uint8Array, unused = 0): Buffer {
  return tagged(0x03, Buffer.from([unused]), bytes);
}

export function octetString(bytes: Uint8Array): Buffer {
  return tagged(0x04, bytes);
}

export function utf8(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text, "utf8"));
}

/** An implicitly tagged primitive, such as a general name. */
export function context(number: number, bytes: Uint8Array): Buffer {
  return tagged(0x80 + number, bytes);
}

/** An explicitly tagged value. */
export function explicit(number: number, item: Uint8Array): Buffer {
  return tagged(0xa0 + number, item);
}

/** UTCTime up to 2049, which is all that RFC 5280 section 4.1.2.5 lets it be used for. */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`, "latin1"));
}

/** @example oid("2.5.4.3") // 06 03 55 04 03 */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest.flatMap(base128)];
  return tagged(0x06, Buffer.from(bytes));
}

/** Seven bits a byte, all but the last marked. */
function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = value >>> 7; left > 0; left >>>= 7) bytes.unshift((left & 0x7f) | 0x80);
  return bytes;
}
