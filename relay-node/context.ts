import type { GrantVerifier } from "../protocol/grants.ts";
import type { ClientLimits } from "./client-limits.ts";
import type { NodeConfig } from "./config.ts";
import type { Connections } from "./connections.ts";
import type { ConsumedIds } from "./consumed.ts";
import type { Dialer } from "./dialer.ts";
import type { Revocations } from "./revocations/revocations.ts";
import type { ReceiptSigner } from "./receipts.ts";
import type { SeedResolver } from "./seeds.ts";
import type { Usage } from "./usage/usage.ts";

/** What a door needs of its node. */
export interface NodeContext {
  readonly config: NodeConfig;
  readonly grantKeys: readonly GrantVerifier[];
  readonly consumed: ConsumedIds;
  readonly dialer: Dialer;
  readonly connections: Connections;
  readonly seeds: SeedResolver;
  readonly limits: ClientLimits;
  readonly revocations: Revocations;
  readonly receipts: ReceiptSigner;
  readonly usage: Usage;
  /** Whether the node takes nothing new, since it has to go. */
  readonly draining: boolean;
  /** Seconds since 1970. */
  now(): number;
  /**
   * @param canMove whether another node can still be sent the request
   * @throws RelayError `node_draining`, `node_out_of_service`
   */
  assertServing(canMove: boolean): void;
}
