import { RelayError } from "./errors.ts";
import { connectionNames, type Field, isForbiddenRequestField } from "./headers.ts";
import { parseTargetUrl, parseTunnelUrl, type TargetUrl, type TunnelTarget } from "./targets.ts";

/** What a request to a proxy looks like, before anything of it is trusted. */
export interface ProxyRequest {
  readonly method: string;
  /** The request's target as it stood on the wire. */
  readonly target: string;
  readonly version: string;
  readonly fields: readonly Field[];
}

/** Takes what an HTTP parser gives, whose fields come as names and values in turn. */
export function readProxyRequest(parsed: {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
}): ProxyRequest {
  const { method = "", url: target = "", httpVersion: version, rawHeaders: raw } = parsed;
  const fields = Array.from({ length: raw.length / 2 }, (_, at): Field => [raw[2 * at]!, raw[2 * at + 1]!]);
  return { method, target, version, fields };
}

/**
 * The host and port that a CONNECT asks for (RFC 9110 section 9.3.6).
 * @throws RelayError `request_invalid`, `url_invalid`
 */
export function connectTarget(request: ProxyRequest): TunnelTarget {
  refuseAmbiguous(request);
  // Erlang's client announces a body of no length.
  const hasLength = count(request, "content-length") > 0 && value(request, "content-length") !== "0";
  if (hasLength || count(request, "transfer-encoding") > 0) {
    throw new RelayError("request_invalid", "a CONNECT has no body");
  }
  return parseTunnelUrl(`tcp://${request.target}`);
}

/**
 * Where any other request goes (RFC 9112 section 3.2.2), and the fields that go with it, Host first; the body's framing is
 * left to whoever sends it.
 *
 * @throws RelayError `request_invalid`, `url_invalid`
 */
export function forwardTarget(request: ProxyRequest): {
  readonly url: TargetUrl;
  readonly fields: readonly Field[];
} {
  refuseAmbiguous(request);
  if (!/^[a-z][a-z0-9+.-]*:/i.test(request.target)) {
    throw new RelayError("request_invalid", "this is a proxy: it takes CONNECT and absolute http:// URLs");
  }
  const url = parseTargetUrl(request.target);
  if (url.scheme !== "http") {
    throw new RelayError(
      "request_invalid",
      "an https:// URL is reached by CONNECT, so that TLS stays end to end",
    );
  }
  const named = connectionNames(request.fields);
  const fields = request.fields.filter(([name]) => {
    const lower = name.toLowerCase();
    // A program that speaks to a relay's edge by itself needs these.
    if (lower.startsWith("relay-")) return !named.has(lower);
    return !isForbiddenRequestField(lower) && !named.has(lower);
  });
  return { url, fields: [["Host", url.authority], ...fields] };
}

/**
 * Whether the Host field names what the request's target names (RFC 9112 section 3.2), where a proxy doesn't merely ignore it: what
 * stands in front may have gone by it. The default port, 443 for CONNECT and 80 else, may be left out. Real clients leave the field
 * out of a CONNECT and under HTTP/1.0.
 *
 * @throws RelayError `request_invalid`
 */
export function checkHost(request: ProxyRequest, { host, port }: Pick<TunnelTarget, "host" | "port">): void {
  const isConnect = request.method === "CONNECT";
  if (count(request, "host") === 0) {
    if (isConnect || request.version === "1.0") return;
    throw new RelayError("request_invalid", "there is no Host field");
  }
  const name = host.includes(":") ? `[${host}]` : host;
  const given = value(request, "host").toLowerCase();
  if (given === `${name}:${port}` || (port === (isConnect ? 443 : 80) && given === name)) return;
  throw new RelayError("request_invalid", "the Host field names another host or port than the target");
}

/** What two parsers could read in two ways goes nowhere. */
function refuseAmbiguous(request: ProxyRequest): void {
  const bad = (why: string) => new RelayError("request_invalid", why);
  // Node's parser takes 0.9 and 2.0 as well.
  if (!/^1\.[01]$/.test(request.version)) throw bad("this is neither HTTP/1.1 nor HTTP/1.0");
  if (count(request, "host") > 1) throw bad("there is more than one Host field");
  if (count(request, "content-length") > 1) throw bad("there is more than one Content-Length field");
  if (count(request, "content-length") > 0 && !isLength(value(request, "content-length"))) {
    throw bad("Content-Length is no number in its plain form");
  }
  const coding = count(request, "transfer-encoding");
  if (coding === 0) return;
  if (count(request, "content-length") > 0) throw bad("it has both Transfer-Encoding and Content-Length");
  if (coding > 1 || request.version !== "1.1" || !/^chunked$/i.test(value(request, "transfer-encoding"))) {
    throw bad("the only transfer coding is chunked, under HTTP/1.1");
  }
}

function count({ fields }: ProxyRequest, lowerName: string): number {
  return fields.filter(([name]) => name.toLowerCase() === lowerName).length;
}

function value({ fields }: ProxyRequest, lowerName: string): string {
  return fields.find(([name]) => name.toLowerCase() === lowerName)?.[1] ?? "";
}

/** A number that nobody reads as octal, and that no parser on the way cuts. */
function isLength(text: string): boolean {
  return /^(0|[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(Number(text));
}
