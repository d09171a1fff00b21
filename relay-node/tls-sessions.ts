import { TLS_SESSION_MAX_SECONDS, TLS_SESSIONS_MAX } from "./limits.ts";

/** TLS sessions to resume, by key. */
export interface TlsSessions {
  get(key: string): Buffer | undefined;
  /** Keeps the session of a handshake that showed its certificate. */
  put(key: string, session: Buffer): void;
  /**
   * Keeps the session of a resumed handshake in place of the one it came from, without making that live
   * longer.
   */
  renew(key: string, session: Buffer): void;
  delete(key: string): void;
}

/**
 * Keeps the latest session of each key, bounded in number and time.
 *
 * @param now milliseconds, from any origin that does not jump
 * @example createTlsSessions(() => performance.now()).get("client|api.bank.com") // undefined
 */
export function createTlsSessions(now: () => number, max: number = TLS_SESSIONS_MAX): TlsSessions {
  const sessions = new Map<string, { readonly session: Buffer; readonly until: number }>();
  return {
    get(key) {
      const found = sessions.get(key);
      if (found === undefined || now() < found.until) return found?.session;
      sessions.delete(key);
      return undefined;
    },
    put(key, session) {
      sessions.delete(key);
      // The oldest goes first: a Map keeps the order of insertion.
      if (sessions.size >= max) sessions.delete(sessions.keys().next().value!);
      sessions.set(key, { session, until: now() + TLS_SESSION_MAX_SECONDS * 1_000 });
    },
    renew(key, session) {
      const found = sessions.get(key);
      if (found !== undefined) sessions.set(key, { ...found, session });
    },
    delete(key) {
      sessions.delete(key);
    },
  };
}
