import { RelayError } from "../../../protocol/errors.ts";
import { STORE_ROW_MAX_BYTES } from "../../limits.ts";

/**
 * Refuses what the platform would not take as one row: workerd on a host of one's own takes it, so that nothing else would tell.
 * @throws RelayError `too_large`
 */
export function rowBytes(values: readonly (string | number | null | Uint8Array)[]): number {
  let bytes = 0;
  for (const value of values) {
    bytes += typeof value === "string" ? utf8Bytes(value) : value instanceof Uint8Array ? value.length : 9;
  }
  if (bytes > STORE_ROW_MAX_BYTES) {
    throw new RelayError("too_large", `a row of ${bytes} bytes, where ${STORE_ROW_MAX_BYTES} can be stored`);
  }
  return bytes;
}

function utf8Bytes(text: string): number {
  // At most three for each unit: nearly everything is far from the limit.
  return text.length * 3 < STORE_ROW_MAX_BYTES / 4 ? text.length : new TextEncoder().encode(text).length;
}
