import { createRequire } from "node:module";
import type * as undici from "undici";

/**
 * What a node uses of undici, by the files that hold it: the package's entry loads its fetch, caches and mocks besides, several MB
 * of memory in each node. The version is fixed in package.json, and a node that did not find them would not start.
 */
const load = createRequire(import.meta.url);

export const Client = load("undici/lib/dispatcher/client.js") as typeof undici.Client;
export type Client = undici.Client;
export const Pool = load("undici/lib/dispatcher/pool.js") as typeof undici.Pool;
export type Pool = undici.Pool;

type RequestOptions = Parameters<undici.Dispatcher["request"]>[0];

const requestOf = load("undici/lib/api/api-request.js") as (
  this: undici.Dispatcher,
  options: RequestOptions,
) => Promise<undici.Dispatcher.ResponseData>;

/** `dispatcher.request(options)`, which the package's entry adds to its dispatchers. */
export function requestBy(
  dispatcher: undici.Dispatcher,
  options: RequestOptions,
): Promise<undici.Dispatcher.ResponseData> {
  return requestOf.call(dispatcher, options);
}
