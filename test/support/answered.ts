import { type RelayInfo, relayInfo } from "../../client/index.ts";
import type { Bench } from "./fidelity.ts";
import type { Script } from "./raw-origin.ts";

/** Makes a call with our client that is answered by a script. */
export async function answered(
  bench: Bench,
  script: Script,
  init: RequestInit = {},
): Promise<{ readonly response: Response; readonly fields: RelayInfo["fields"] }> {
  bench.tls.next(script);
  const response = await bench.relay.fetch(bench.tls.url, init).finally(() => void bench.tls.request());
  return { response, fields: relayInfo(response)!.fields };
}

/** A script that writes an answer in one go. */
export const says =
  (...parts: (string | Uint8Array)[]): Script =>
  (exchange) =>
    exchange.send(...parts);
