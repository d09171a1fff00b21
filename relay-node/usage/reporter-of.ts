import type { SecureContext } from "node:tls";
import type { NodeConfig } from "../config.ts";
import { lookupBy } from "../outbound.ts";
import { EdgeClient } from "../proxy/edge-client.ts";
import type { Resolver } from "../resolver.ts";
import { USAGE_SEND_MS } from "./limits.ts";
import { type ReporterOptions, UsageReporter } from "./reporter.ts";

/** Tells the edge as a node is configured to. */
export function reporterOf(
  config: NodeConfig,
  resolver: Resolver,
  secureContext: SecureContext,
  options: Pick<ReporterOptions, "usage" | "onOver" | "log" | "intervalMs">,
): UsageReporter {
  const { edge, id, signingKey } = config;
  const lookup = lookupBy(resolver);
  const client = new EdgeClient({ edge, id, signingKey, secureContext, answerMs: USAGE_SEND_MS, lookup });
  return new UsageReporter({ ...options, client });
}
