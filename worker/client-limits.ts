import type { GrantLimits } from "../protocol/grants.ts";
import type { ClientLimits } from "./clients.ts";
import {
  CLIENT_CONCURRENT,
  CLIENT_RATE_MIN,
  CLIENT_REQUESTS_PER_SECOND,
  CLIENT_STREAM_IDLE_SECONDS,
  CLIENT_STREAM_LIFETIME_SECONDS,
  CLIENT_STREAMS,
} from "./limits.ts";

/**
 * What one node holds a client to: its share of the client's limits, those that the record leaves out by default. Each node
 * lets at least one request and one stream through at a time, and one request every ten seconds. What one stream may do is not
 * shared.
 *
 * @param nodes how many nodes the client's requests are spread over
 * @example grantLimits({ requestsPerSecond: 50 }, 2) // { rate: 25, concurrent: 1000, streams: 500, idle: 3600, lifetime: 86400 }
 */
export function grantLimits(limits: ClientLimits, nodes: number): GrantLimits {
  const {
    requestsPerSecond = CLIENT_REQUESTS_PER_SECOND,
    concurrent = CLIENT_CONCURRENT,
    bytesPerSecond,
    streams = CLIENT_STREAMS,
    streamIdleSeconds: idle = CLIENT_STREAM_IDLE_SECONDS,
    streamLifetimeSeconds: lifetime = CLIENT_STREAM_LIFETIME_SECONDS,
  } = limits;
  const share = Math.max(1, nodes);
  return {
    rate: Math.max(CLIENT_RATE_MIN, requestsPerSecond / share),
    concurrent: Math.ceil(concurrent / share),
    ...(bytesPerSecond !== undefined && { bytes: bytesPerSecond / share }),
    streams: Math.ceil(streams / share),
    idle,
    lifetime,
  };
}
