/** A relay URL's path, taken apart byte for byte. */
export interface RelayUrlPath {
  readonly credential: string;
  /** The target's path and query; begins with a slash. */
  readonly path: string;
}

/**
 * What a relay URL says, from the URL as it came: a parser would resolve dot segments, and a router decodes.
 *
 * @param url the request's whole URL
 * @returns undefined where there is no credential
 * @example splitRelayUrl("https://edge.example.com/r/hf_…/v1/%2E%2e//x?a") // { credential: "hf_…", path: "/v1/%2E%2e//x?a" }
 */
export function splitRelayUrl(url: string): RelayUrlPath | undefined {
  const match = /^[a-z]+:\/\/[^/?#]*\/r\/([^/?#]+)(\/[^?#]*)?(\?[^#]*)?/.exec(url);
  if (match === null) return undefined;
  const [, credential, path = "/", query = ""] = match;
  return { credential: credential!, path: `${path}${query}` };
}
