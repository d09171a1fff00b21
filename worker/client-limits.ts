import type { GrantLimits } from "../protocol/grants.ts";
import type { ClientLimits } from "./clients.ts";
import { CLIENT_CONCURRENT, CLIENT_RATE_MIN, CLIENT_REQUESTS_PER_SECOND } from "./limits.ts";

/**
 * What one node holds a client to: its share of the client's limits, those that the record leaves out by default. Each node
 * lets at least one request through at a time, and one every ten seconds.
 *
 * @param nodes how many nodes the client's requests are spread over
 * @example grantLimits({ requestsPerSecond: 50 }, 2) // { rate: 25, concurrent: 1000 }
 */
export function grantLimits(limits: ClientLimits, nodes: number): GrantLimits {
  const {
    requestsPerSecond = CLIENT_REQUESTS_PER_SECOND,
    concurrent = CLIENT_CONCURRENT,
    bytesPerSecond,
  } = limits;
  const share = Math.max(1, nodes);
  return {
    rate: Math.max(CLIENT_RATE_MIN, requestsPerSecond / share),
    concurrent: Math.ceil(concurrent / share),
    ...(bytesPerSecond !== undefined && { bytes: bytesPerSecond / share }),
  };
}
