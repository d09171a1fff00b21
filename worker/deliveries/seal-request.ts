import { base64url } from "jose";
import type { Sealing } from "../sealing.ts";
import type { StoredRequest } from "./event.ts";

/** Where an event's request is sealed for. */
export function requestPlace(id: string): string {
  return `delivery ${id}`;
}

/** Where the URL is sealed for that an event's outcome is posted to. */
export function callbackPlace(id: string): string {
  return `callback ${id}`;
}

/**
 * A request as it is stored.
 * @param section its encoded end-to-end fields
 */
export function sealRequest(id: string, url: string, section: Uint8Array, sealing: Sealing): Promise<string> {
  const stored: StoredRequest = { url, fields: base64url.encode(section) };
  return sealing.seal(JSON.stringify(stored), requestPlace(id));
}
