import { isIPv6 } from "node:net";
import { Admission } from "./admission.ts";
import { HttpListener } from "./http-listener.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { startSocks } from "./socks-door.ts";
import type { ProxyConfig } from "../config.ts";

/** What the door listens by. */
interface ProxyListener {
  /** Takes no more connections. */
  stop(): void;
}

/**
 * The proxy door: HTTP proxies over TLS and, where the operator opens them, plain, and SOCKS 5.
 *
 *   user ──CONNECT host:port────────────▶ TunnelOpening ──▶ ProxyTunnel
 *   user ──GET http://host/path─────────▶ forwarding
 *   user ──SOCKS 5──────────────────────▶ TunnelOpening ──▶ ProxyTunnel
 *   user ──Upgrade: connect-tcp─────────▶ TunnelOpening ──▶ ProxyTunnel
 */
export class ProxyDoor {
  readonly #context: ProxyContext;
  readonly #admission: Admission;
  readonly #listeners: ProxyListener[] = [];

  private constructor(context: ProxyContext) {
    this.#context = context;
    this.#admission = new Admission(context.metrics.registry);
  }

  /** Listens where the configuration says. @throws the system's error where it can't */
  static async start(context: ProxyContext): Promise<ProxyDoor> {
    const door = new ProxyDoor(context);
    const { https, http, socks5, reusePort } = context.node.config.proxy ?? {};
    try {
      for (const listen of [https, http]) {
        if (listen === undefined) continue;
        door.#listeners.push(await HttpListener.start(context, { ...listen, reusePort }, door.#admission));
      }
      if (socks5 !== undefined) {
        door.#listeners.push(await startSocks(context, { ...socks5, reusePort }, door.#admission));
      }
    } catch (error) {
      await door.close();
      throw error;
    }
    return door;
  }

  /** Takes no more connections: whoever finds this address closed goes to the next one of the name. */
  stop(): void {
    for (const listener of this.#listeners) listener.stop();
  }

  /** Closes everything. */
  async close(): Promise<void> {
    this.stop();
    this.#admission.cut();
    await this.#context.authorizer.close();
  }
}

/** Where the door listens, for the log: `{ https: "0.0.0.0:9443" }`; undefined where there is none. */
export function listensAt(config: ProxyConfig | undefined): Readonly<Record<string, string>> | undefined {
  if (config === undefined) return undefined;
  const { https, http, socks5 } = config;
  const all = Object.entries({ https, http, socks5 });
  return Object.fromEntries(
    all.flatMap(([kind, at]) =>
      at ? [[kind, isIPv6(at.host) ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`]] : [],
    ),
  );
}
