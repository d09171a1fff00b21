import { writeFileSync } from "node:fs";
import { createRelay, type RelayOptions } from "../../client/index.ts";
import { packed } from "../native.ts";

/** One call as an app makes it. */
export interface AppCall {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** What an app is after; nobody looks there. */
export const TARGET = "https://api.example.com";

/** What an app sends along. */
const APP_FIELDS: readonly [string, string][] = [
  ["Accept", "application/json"],
  ["Authorization", "Bearer 0123456789abcdef0123456789abcdef"],
  ["Content-Type", "application/json"],
];

/** What Node's fetch puts into a request of its own accord. */
const FETCH_FIELDS =
  "connection: keep-alive\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n";

/** Ends a call where its request is known. */
class Known extends Error {}

/**
 * Writes requests that the client library signs, each by itself, byte for byte as it sends them by Node's fetch.
 * @param relayUrls whose requests they are, in turn
 */
export async function writeRequests(
  file: string,
  relayUrls: readonly string[],
  call: AppCall,
  count: number,
): Promise<void> {
  const requests: Uint8Array[] = [];
  const capture: NonNullable<RelayOptions["fetch"]> = async (input, init) => {
    requests.push(requestBytes(input as string, init!));
    throw new Known();
  };
  const relays = relayUrls.map((url) => createRelay(url, { fetch: capture }));
  const { url, method, body = null } = call;
  for (let made = 0; made < count; made++) {
    await relays[made % relays.length]!.fetch(url, {
      method,
      body,
      headers: APP_FIELDS as [string, string][],
    }).catch((error: unknown) => {
      if (!((error as Error).cause instanceof Known)) throw error;
    });
  }
  writeFileSync(file, packed(requests));
}

function requestBytes(url: string, { method = "GET", headers, body }: RequestInit): Uint8Array {
  const { host, pathname } = new URL(url);
  const bytes = body instanceof Uint8Array ? body : new Uint8Array();
  const fields = (headers as [string, string][]).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${pathname} HTTP/1.1\r\nhost: ${host}\r\n${FETCH_FIELDS}${fields.join("")}content-length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
}
