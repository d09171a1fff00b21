import { RelayError } from "./errors.ts";
import type { ProxyRequest } from "./proxy-requests.ts";
import { parseTunnelUrl, type TunnelTarget } from "./targets.ts";

/** Where the registered default template of draft-ietf-httpbis-connect-tcp begins: `…/tcp/{target_host}/{target_port}/`. */
export const CONNECT_TCP_PREFIX = "/.well-known/masque/tcp/";

/** The name of the protocol that is upgraded to: the RFC's, and the one that the draft sets for tests before it. */
export const CONNECT_TCP_TOKENS: readonly string[] = ["connect-tcp", "connect-tcp-07"];

/**
 * What a request to upgrade asks for (section 3.1 of the draft).
 *
 * @throws RelayError `method_not_allowed`, `upgrade_required`, `request_invalid`, `url_invalid`
 */
export function connectTcpRequest({ method, target, version, fields }: ProxyRequest): {
  readonly target: TunnelTarget;
  /** The name of the protocol, to be answered with. */
  readonly upgrade: string;
} {
  const valuesOf = (lowerName: string) =>
    fields.filter(([name]) => name.toLowerCase() === lowerName).map(([, value]) => value);
  if (method !== "GET") throw new RelayError("method_not_allowed", "connect-tcp is asked for by GET");
  if (version !== "1.1") throw invalid("connect-tcp is asked for by HTTP/1.1");
  if (valuesOf("host").length !== 1) throw invalid("there is not exactly one Host field");
  if (valuesOf("content-length").length + valuesOf("transfer-encoding").length > 0) {
    throw invalid("a request for connect-tcp has no body");
  }
  const [upgrade = "", ...others] = valuesOf("upgrade").map((value) => value.toLowerCase());
  if (others.length > 0 || !CONNECT_TCP_TOKENS.includes(upgrade)) {
    throw new RelayError("upgrade_required", "this path speaks connect-tcp alone");
  }
  return { target: connectTcpTarget(target), upgrade };
}

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
