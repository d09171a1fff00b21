import { RelayError } from "./errors.ts";
import { parseTunnelUrl, type TunnelTarget } from "./targets.ts";

/** Where the registered default template of draft-ietf-httpbis-connect-tcp begins: `…/tcp/{target_host}/{target_port}/`. */
export const CONNECT_TCP_PREFIX = "/.well-known/masque/tcp/";

/** The name of the protocol that is upgraded to: the RFC's, and the one that the draft sets for tests before it. */
export const CONNECT_TCP_TOKENS: readonly string[] = ["connect-tcp", "connect-tcp-07"];

/**
 * The target in a path that the template was expanded to. An expansion (RFC 6570 section 3.2.2) leaves unreserved characters
 * as they are and encodes all others, and so it is read: an IPv6 address comes without brackets, its colons as `%3A`.
 *
 * @throws RelayError `request_invalid`, `url_invalid`
 * @example connectTcpTarget("/.well-known/masque/tcp/2001%3Adb8%3A%3A1/443/").authority // "[2001:db8::1]:443"
 */
export function connectTcpTarget(path: string): TunnelTarget {
  const [, encoded, port] = /^\/\.well-known\/masque\/tcp\/([^/?#]+)\/([0-9]+)\/$/.exec(path) ?? [];
  if (encoded === undefined || port === undefined) {
    throw invalid("the path is not of the form /.well-known/masque/tcp/{target_host}/{target_port}/");
  }
  if (!/^(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+$/.test(encoded)) {
    throw invalid(
      "target_host is not as an expanded template has it: percent-encode all but letters, digits and -._~",
    );
  }
  const host = encoded.replaceAll(/%(..)/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  if (host.includes(",")) throw invalid("target_host is a list: one host is served");
  return parseTunnelUrl(`tcp://${host.includes(":") ? `[${host}]` : host}:${port}`);
}

function invalid(why: string): RelayError {
  return new RelayError("request_invalid", why);
}
