import { WORDS_FROM_BYTES } from "./limits.ts";

/** Whether the first byte of a word is its lowest. */
const IS_LITTLE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Undoes a client's mask in place (RFC 6455 section 5.3).
 *
 * @param mask the frame's four bytes, the first one highest
 * @param at how many bytes of the frame came before these
 */
export function unmask(bytes: Uint8Array, mask: number, at: number): void {
  // Turned so that its first byte is for the first one here.
  const turn = (at & 3) * 8;
  let key = turn === 0 ? mask : (mask << turn) | (mask >>> (32 - turn));
  if (key === 0) return;
  const { length, byteOffset } = bytes;
  let done = 0;
  if (IS_LITTLE && length >= WORDS_FROM_BYTES) {
    const ahead = -byteOffset & 3;
    for (; done < ahead; done++) {
      bytes[done]! ^= key >>> 24;
      key = (key << 8) | (key >>> 24);
    }
    const words = new Uint32Array(bytes.buffer, byteOffset + ahead, (length - ahead) >>> 2);
    const word =
      (key >>> 24) | ((key >>> 8) & 0xff_00) | ((key << 8) & 0xff_00_00) | ((key & 0xff) << 24) | 0;
    for (let index = 0; index < words.length; index++) words[index]! ^= word;
    done += words.length * 4;
  }
  for (; done < length; done++) {
    bytes[done]! ^= key >>> 24;
    key = (key << 8) | (key >>> 24);
  }
}
