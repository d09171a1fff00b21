import type { ProxyGrantClaims, ProxyRules } from "../../protocol/proxy-grants.ts";

/** Who wants to use the proxy, as a request said it. */
export interface ProxyUser {
  /** The client's id; undefined where a bearer came. */
  readonly user: string | undefined;
  /** A scope token, or the handle that stands for one. */
  readonly credential: string;
  /** The address that the connection came from. */
  readonly from: string;
}

/** A grant that is alive. */
export interface ProxyAdmission {
  readonly grant: ProxyGrantClaims;
  readonly rules: ProxyRules;
}

/** Tells whether somebody may use the proxy. */
export interface ProxyAuthorizer {
  /**
   * Whether a user may go to a target now.
   *
   * @param target `tcp://host:port` for a tunnel, `http://host[:port]` for requests to that origin
   * @throws RelayError `proxy_credentials_invalid`, `authorization_unavailable`, `rate_limited`, and what the edge refuses with
   */
  authorize(user: ProxyUser, target: string, signal?: AbortSignal): Promise<ProxyAdmission>;
  /** The same where it is known already. Undefined: it has to be asked. @throws RelayError as `authorize` */
  remembered?(user: ProxyUser, target: string): ProxyAdmission | undefined;
  close(): Promise<void>;
}
