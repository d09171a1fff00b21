import type { TargetUrl } from "../../protocol/targets.ts";

/**
 * A target's `Set-Cookie` for a caller that keeps cookies by host and path: all relay URLs have the edge's host, so that a cookie
 * of one target would go to another. It is bound to the path of its relay URL, with the path that it had at the target, and to the
 * edge's host alone.
 *
 * @param cookie the field's value
 * @param prefix the relay URL's path, without a slash at its end
 * @returns undefined where the target is not of the cookie's domain, as no client would take it from there
 * @example cookieInside("a=1; Path=/v1; Secure", target, "/r/hf_…") // "a=1; Secure; Path=/r/hf_…/v1"
 */
export function cookieInside(
  cookie: string,
  { host, path }: Pick<TargetUrl, "host" | "path">,
  prefix: string,
): string | undefined {
  const [pair, ...attributes] = cookie.split(";");
  let cookiePath = defaultPath(path);
  const kept = [];
  for (const attribute of attributes) {
    const [name = "", ...rest] = attribute.split("=");
    const value = rest.join("=").trim();
    switch (name.trim().toLowerCase()) {
      case "domain": {
        const domain = value.toLowerCase().replace(/^\./, "");
        if (domain !== "" && host !== domain && !host.endsWith(`.${domain}`)) return undefined;
        break;
      }
      case "path":
        // The last one counts.
        cookiePath = value.startsWith("/") ? value : defaultPath(path);
        break;
      default:
        kept.push(attribute);
    }
  }
  return [pair, ...kept, ` Path=${prefix}${cookiePath === "/" ? "" : cookiePath}`].join(";");
}

/** RFC 6265 section 5.1.4. A client's own, by the relay URL, would be that of all of them for a target's root. */
function defaultPath(pathAndQuery: string): string {
  const [path = "/"] = pathAndQuery.split("?");
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
