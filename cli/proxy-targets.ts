import type { ProxyScheme } from "../client/proxy-list.ts";
import { RelayError } from "../protocol/errors.ts";
import { type AllowedTarget, parseAllowedTarget } from "../protocol/targets.ts";

/**
 * Refuses targets that no proxy of this kind opens, before a token is signed that would be good for nothing.
 *
 * @param allow entries as in a client's `allow`
 * @throws RelayError `request_invalid`, which names each of them and what can be done
 */
export function assertProxyTargets(allow: readonly string[], scheme: ProxyScheme): void {
  const objections = allow.flatMap((entry) => proxyObjection(entry, scheme) ?? []);
  if (objections.length > 0) throw new RelayError("request_invalid", objections.join("\n  "));
}

/** Why a proxy of one kind can't open a target, and what can be done; undefined where it opens it. */
function proxyObjection(entry: string, scheme: ProxyScheme): string | undefined {
  const target = parseAllowedTarget(entry);
  const isLimited = target.path !== undefined || target.methods !== undefined;
  if (target.scheme === "https" && isLimited) {
    const whole = `https://${authorityOf(target, 443)}`;
    return `${JSON.stringify(entry)} has a path or methods, which nobody sees inside a proxy's tunnel: name ${whole}, which the client's own list has to admit, or make such requests by holdfast fetch or the library`;
  }
  if (target.scheme === "http" && scheme === "socks5h") {
    const tunnel = target.host === undefined ? "tcp://host:80" : `tcp://${authorityOf(target)}`;
    return `${JSON.stringify(entry)} is opened for requests that an HTTP proxy reads, and SOCKS has tunnels alone: name ${tunnel}, or use an http proxy`;
  }
  return undefined;
}

/** Host and port as an entry has them, the port left out where it is the default one. */
function authorityOf({ host, port }: AllowedTarget, defaultPort?: number): string {
  const name = host === undefined ? "*" : host.startsWith(".") ? `*${host}` : host;
  const bracketed = name.includes(":") ? `[${name}]` : name;
  return port === defaultPort ? bracketed : `${bracketed}:${port}`;
}
