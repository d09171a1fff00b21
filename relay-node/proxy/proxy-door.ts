import type { ProxyContext } from "./proxy-context.ts";

/**
 * The proxy door: HTTP proxies over TLS and, where the operator opens them, plain, and SOCKS 5.
 *
 *   user ──CONNECT host:port────────────▶ TunnelOpening ──▶ ProxyTunnel
 *   user ──GET http://host/path─────────▶ forwarding
 *   user ──SOCKS 5──────────────────────▶ TunnelOpening ──▶ ProxyTunnel
 *   user ──Upgrade: connect-tcp─────────▶ TunnelOpening ──▶ ProxyTunnel
 */
export class ProxyDoor {
  /** Listens where the configuration says. @throws the system's error where it can't */
  static async start(_context: ProxyContext): Promise<ProxyDoor> {
    return new ProxyDoor();
  }

  /** Takes no more connections: whoever finds this address closed goes to the next one of the name. */
  stop(): void {}

  /** Closes everything. */
  async close(): Promise<void> {}
}
