import { RelayError } from "./errors.ts";
import { isMethod } from "./headers.ts";
import { URL_MAX_BYTES } from "./limits.ts";

/** A target URL taken apart without changing a byte of its path and query. */
export interface TargetUrl {
  readonly scheme: "https" | "http";
  /** Lower case; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query as they are sent; begins with a slash. */
  readonly path: string;
  /** `scheme://host[:port]`, the port left out where it is the scheme's own. */
  readonly origin: string;
  /** The Host field: host and, where not the scheme's own, port. */
  readonly authority: string;
}

const DEFAULT_PORT = { https: 443, http: 80 } as const;

/**
 * Takes an absolute http(s) URL apart. It must be written in its canonical form, so that no two parsers on the way can
 * read two hosts from it: ASCII, no user info, no fragment, no trailing dot, IDNs as A-labels, IP addresses as
 * RFC 5952 and dotted decimal write them. Upper case in the host is folded.
 *
 * @throws RelayError `url_invalid`
 * @example parseTargetUrl("https://api.bank.com/v1/%7Ex?a=b%zz").path // "/v1/%7Ex?a=b%zz"
 */
export function parseTargetUrl(url: string): TargetUrl {
  if (url.length > URL_MAX_BYTES) throw invalid(`is longer than ${URL_MAX_BYTES} bytes`);
  if (!/^[\x21-\x7e]*$/.test(url)) {
    throw invalid(
      "holds a space, a control or a character beyond ASCII: percent-encode it, and write an IDN as A-labels (xn--)",
    );
  }
  // Some parsers read a backslash as a slash; in a query it is an ordinary character.
  if (/^[^?]*\\/.test(url)) throw invalid("has a backslash before its query: percent-encode it");
  if (url.includes("#")) throw invalid("has a fragment: fragments are never sent");
  const match = /^(https?):\/\/([^/?]*)(.*)$/i.exec(url);
  if (match === null) throw invalid("is no absolute http or https URL");
  const scheme = match[1]!.toLowerCase() === "https" ? "https" : "http";
  const rest = match[3]!;
  const { host, port } = parseAuthority(match[2]!, DEFAULT_PORT[scheme]);
  return build(scheme, host, port, rest.startsWith("/") ? rest : `/${rest}`);
}

function build(scheme: "https" | "http", host: string, port: number, path: string): TargetUrl {
  const bracketed = host.includes(":") ? `[${host}]` : host;
  const authority = port === DEFAULT_PORT[scheme] ? bracketed : `${bracketed}:${port}`;
  return { scheme, host, port, path, origin: `${scheme}://${authority}`, authority };
}

/** Host and port of an authority, canonical or refused. `defaultPort` undefined: a port must stand there. */
function parseAuthority(authority: string, defaultPort: number | undefined): { host: string; port: number } {
  if (authority.includes("@")) throw invalid("has user info: put credentials into an Authorization field");
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::([0-9]*))?$/i.exec(authority);
  if (match === null) throw invalid("has no valid host");
  const host = canonicalHost(match[1]!);
  const digits = match[2];
  if (digits === undefined && defaultPort !== undefined) return { host, port: defaultPort };
  if (digits === undefined || !/^[1-9][0-9]{0,4}$/.test(digits) || Number(digits) > 65_535) {
    throw invalid("has no valid port: 1 to 65535, without leading zeros");
  }
  return { host, port: Number(digits) };
}

/** A DNS name that every parser reads as it stands: what ends in a letter's label is no address. */
const PLAIN_NAME = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** An IPv4 address as every parser reads it: what has leading zeros or other bases is another one to some. */
export const DOTTED_IPV4 =
  /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** Folds case, and refuses what the WHATWG parser would read as another host than what is written. */
function canonicalHost(written: string): string {
  const lower = written.toLowerCase();
  if (PLAIN_NAME.test(lower) && lower.length <= 253 && !lower.includes("xn--")) return lower;
  if (DOTTED_IPV4.test(lower)) return lower;
  if (lower.endsWith(".")) throw invalid("has a trailing dot in its host: leave it out");
  let parsed: string;
  try {
    parsed = new URL(`https://${lower}/`).hostname;
  } catch (cause) {
    throw invalid("has no valid host", cause);
  }
  if (parsed !== lower) {
    throw invalid(`has the host ${lower.slice(0, 80)}, whose canonical form is ${parsed.slice(0, 80)}`);
  }
  if (lower.startsWith("[")) return lower.slice(1, -1);
  if (
    lower.length > 253 ||
    !lower.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  ) {
    throw invalid("has a host that is no DNS name");
  }
  return lower;
}

/** A host and port to which a tunnel is asked for. */
export interface TunnelTarget {
  /** Lower case; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** `host:port`, an IPv6 address in brackets. */
  readonly authority: string;
}

/**
 * Takes `tcp://host:port` apart: canonical, as a target URL has to be, with a port and nothing behind it.
 *
 * @throws RelayError `url_invalid`
 * @example parseTunnelUrl("tcp://db.example.com:5432").authority // "db.example.com:5432"
 */
export function parseTunnelUrl(url: string): TunnelTarget {
  const authority = /^tcp:\/\/([\x21-\x7e]+)$/.exec(url)?.[1];
  if (authority === undefined || url.length > URL_MAX_BYTES || /[/?#\\]/.test(authority)) {
    throw invalid("is not of the form tcp://host:port");
  }
  return tunnelTo(parseAuthority(authority, undefined));
}

/**
 * The same from a host and a port that stand apart, as a caller of `connect` gives them.
 *
 * @throws RelayError `url_invalid`
 * @example tunnelUrl("db.example.com", 5432) // "tcp://db.example.com:5432"
 */
export function tunnelUrl(host: string, port: number): string {
  const url = `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return `tcp://${parseTunnelUrl(url).authority}`;
}

function tunnelTo({ host, port }: { host: string; port: number }): TunnelTarget {
  return { host, port, authority: `${host.includes(":") ? `[${host}]` : host}:${port}` };
}

/** One entry of a client's `allow`, parsed. */
export interface AllowedTarget {
  /** As it was written. */
  readonly entry: string;
  readonly scheme: "https" | "http" | "tcp";
  /** An exact host; a suffix beginning with a dot for `*.vendor.io`; undefined for `*`, every host. */
  readonly host: string | undefined;
  readonly port: number;
  /** Undefined: any path. Ending in `/*`: everything below. Else: this very path. */
  readonly path: string | undefined;
  /** Undefined: any method. */
  readonly methods: readonly string[] | undefined;
}

/**
 * Parses one `allow` entry: `https://api.bank.com`, `https://*.vendor.io` (any depth of subdomains, not `vendor.io`
 * itself), `https://api.bank.com/v1/*`, `http://legacy.example.com:8080`, `tcp://db.example.com:5432`, `https://*`;
 * an http(s) entry may begin with the methods it is limited to: `GET,HEAD https://api.bank.com`.
 *
 * @throws RelayError `request_invalid`, quoting the entry
 */
export function parseAllowedTarget(entry: string): AllowedTarget {
  const bad = (why: string, cause?: unknown) =>
    new RelayError("request_invalid", `allow entry ${JSON.stringify(entry.slice(0, 200))} ${why}`, { cause });
  // Case folding maps some letters beyond ASCII to ASCII ones (the Kelvin sign to k), so they are refused before it.
  if (!/^[\x20-\x7e]*$/.test(entry)) {
    throw bad("holds a control or a character beyond ASCII: write an IDN as A-labels (xn--)");
  }
  const match = /^(?:([^\s:/]+) )?(https|http|tcp):\/\/([^/?#\s]+)(\/[^?#\s]*)?$/.exec(entry);
  if (match === null) throw bad("is not of the form [METHOD,METHOD ]scheme://host[:port][/path]");
  const scheme = match[2] as AllowedTarget["scheme"];
  const path = match[4] === "/" ? undefined : match[4];
  const methods = match[1]?.split(",");
  if (scheme === "tcp" && (path !== undefined || methods !== undefined)) {
    throw bad("names a path or methods, which tcp has none of");
  }
  if (methods?.some((method) => !isMethod(method)) === true) throw bad("names an invalid method");
  const fixedPath = path?.replace(/\/\*$/, "/");
  if (fixedPath !== undefined && (fixedPath.includes("*") || !isPlainPath(fixedPath))) {
    throw bad("has a path with dot segments, encoded slashes or a wildcard elsewhere than at its end");
  }
  const [, wildcard, rest] = /^(\*\.|\*(?=:|$))?(.*)$/.exec(match[3]!)!;
  const defaultPort = scheme === "tcp" ? undefined : DEFAULT_PORT[scheme];
  try {
    // A wildcard for every host has no name left to parse; any valid one lets the port be read.
    const { host, port } = parseAuthority(wildcard === "*" ? `any${rest}` : rest!, defaultPort);
    if (wildcard === "*" && scheme === "tcp") throw bad("opens every host by tcp: name the host");
    const isAddress = host.includes(":") || /^[0-9.]+$/.test(host);
    if (wildcard === "*." && isAddress) throw bad("puts a wildcard before an address");
    return {
      entry,
      scheme,
      host: wildcard === "*" ? undefined : wildcard === "*." ? `.${host}` : host,
      port,
      path,
      methods,
    };
  } catch (cause) {
    if (cause instanceof RelayError && cause.code === "request_invalid") throw cause;
    throw bad(cause instanceof RelayError ? cause.detail : "is invalid", cause);
  }
}

/**
 * Whether a client's `allow` admits this method and URL. A path limit is judged on plain paths alone: where a server
 * could read dot segments, encoded slashes, backslashes or a second slash as another path, the entry does not match.
 */
export function isAllowed(allow: readonly AllowedTarget[], method: string, url: TargetUrl): boolean {
  return allow.some(
    (entry) =>
      isAtOrigin(entry, url) &&
      (entry.methods === undefined || entry.methods.includes(method)) &&
      (entry.path === undefined || pathMatches(entry.path, url.path)),
  );
}

/** Whether an entry admits anything of an origin, to whatever paths and methods it is limited. */
export function isAtOrigin(
  entry: AllowedTarget,
  { scheme, host, port }: Pick<TargetUrl, "scheme" | "host" | "port">,
): boolean {
  return entry.scheme === scheme && entry.port === port && hostMatches(entry.host, host);
}

/**
 * Whether a client's `allow` admits a tunnel: by a `tcp://` entry, or by an `https://` one without path and methods, since
 * inside a tunnel nobody sees either.
 */
export function isTunnelAllowed(
  allow: readonly AllowedTarget[],
  { host, port }: Pick<TunnelTarget, "host" | "port">,
): boolean {
  return allow.some(
    (entry) =>
      (entry.scheme === "tcp" || entry.scheme === "https") &&
      entry.path === undefined &&
      entry.methods === undefined &&
      entry.port === port &&
      hostMatches(entry.host, host),
  );
}

function hostMatches(allowed: string | undefined, host: string): boolean {
  if (allowed === undefined) return true;
  return allowed.startsWith(".") ? host.length > allowed.length && host.endsWith(allowed) : host === allowed;
}

function pathMatches(allowed: string, pathAndQuery: string): boolean {
  const query = pathAndQuery.indexOf("?");
  const path = query === -1 ? pathAndQuery : pathAndQuery.slice(0, query);
  if (!isPlainPath(path)) return false;
  return allowed.endsWith("/*") ? path.startsWith(allowed.slice(0, -1)) : path === allowed;
}

/**
 * A path that every server reads alike, however often it decodes it. Each layer of percent-encoding is judged until
 * none is left: `%2e`, `%252e` and `%25252e` are all dots to some server behind a proxy.
 */
function isPlainPath(path: string): boolean {
  // Servers differ on a percent sign without two digits; some read `%u002e`, too.
  if (/%(?![0-9a-f]{2})/i.test(path)) return false;
  const depth = path.split("/").length;
  let decoded = path;
  for (let layer = 0; layer < ENCODING_LAYERS_MAX; layer++) {
    const segments = decoded.split("/");
    // A decoded slash is a separator to some servers and a character to others.
    if (segments.length !== depth || decoded.includes("//") || decoded.includes("\\")) return false;
    if (
      UNPRINTABLE.test(decoded) ||
      OVERLONG.test(decoded) ||
      segments.some((segment) => DOTS.test(segment))
    ) {
      return false;
    }
    const next = decoded.replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    if (next === decoded) return true;
    decoded = next;
  }
  return false;
}

/** Nobody encodes more often in earnest, and each layer costs a pass over the path. */
const ENCODING_LAYERS_MAX = 8;

/** Controls: some servers end a path at them, some drop them. Written by what it leaves out: each character is a byte. */
const UNPRINTABLE = /[^\x20-\x7e\x80-\xff]/;

/** Overlong UTF-8 (RFC 3629 section 3): `%c0%ae` is a dot to a decoder that does not check. */
const OVERLONG = /[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]/;

/**
 * A dot segment, with all that some server strips before it resolves it: white space, more dots (Windows), a path
 * parameter (`..;x`), or a query or fragment that showed up by decoding.
 */
const DOTS = /^ *\.[. ]*([;?#]|$)/;

function invalid(why: string, cause?: unknown): RelayError {
  return new RelayError("url_invalid", `the target URL ${why}`, { cause });
}
