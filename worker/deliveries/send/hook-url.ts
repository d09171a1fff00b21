import type { TargetUrl } from "../../../protocol/targets.ts";

/**
 * Where a route delivers to, with the query that came with the call.
 * @example hookUrl(parseTargetUrl("https://a.example/in?key=1"), "?shop=2") // "https://a.example/in?key=1&shop=2"
 */
export function hookUrl({ origin, path }: TargetUrl, query: string): string {
  if (query === "") return `${origin}${path}`;
  return `${origin}${path}${path.includes("?") ? "&" : "?"}${query.slice(1)}`;
}
