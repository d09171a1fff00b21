import type { Logger } from "pino";
import type { NodeContext } from "../context.ts";
import type { Metrics } from "../metrics.ts";
import type { Requests } from "../requests.ts";
import type { Streams } from "../streams.ts";
import type { ProxyAuthorizer } from "./authorizer.ts";

/** What the parts of the proxy door share. */
export interface ProxyContext {
  readonly node: NodeContext;
  /** All streams of the node: tunnels count among them. */
  readonly streams: Streams;
  /** All requests of the node: those in the absolute form count among them. */
  readonly requests: Requests;
  readonly authorizer: ProxyAuthorizer;
  readonly metrics: Metrics;
  readonly log: Logger;
}
