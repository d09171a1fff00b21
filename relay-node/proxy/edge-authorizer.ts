import type { SecureContext } from "node:tls";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { RelayError } from "../../protocol/errors.ts";
import type { GrantKey } from "../../protocol/grants.ts";
import type { NodeConfig } from "../config.ts";
import type { ProxyAdmission, ProxyAuthorizer } from "./authorizer.ts";

/** What an authorizer is made of. */
export interface EdgeAuthorizerOptions {
  readonly config: NodeConfig;
  readonly grantKeys: readonly GrantKey[];
  /** Of `relayTls`. */
  readonly secureContext: SecureContext;
  readonly registry: Registry;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Asks the edge, and keeps its grants. */
export class EdgeAuthorizer implements ProxyAuthorizer {
  readonly options: EdgeAuthorizerOptions;

  constructor(options: EdgeAuthorizerOptions) {
    this.options = options;
  }

  async authorize(): Promise<ProxyAdmission> {
    throw new RelayError("authorization_unavailable", "not there yet");
  }

  async close(): Promise<void> {}
}
