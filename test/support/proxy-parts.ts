import pino from "pino";
import { RelayError } from "../../protocol/errors.ts";
import type { GrantLimits } from "../../protocol/grants.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { Metrics } from "../../relay-node/metrics.ts";
import { checkCredential } from "../../relay-node/proxy/credentials.ts";
import type { ProxyAuthorizer, ProxyUser } from "../../relay-node/proxy/authorizer.ts";
import type { ProxyContext } from "../../relay-node/proxy/proxy-context.ts";
import { Requests } from "../../relay-node/requests.ts";
import { Streams, type StreamBounds } from "../../relay-node/streams.ts";
import { type NodeHere, startNodeHere } from "./node-here.ts";
import { EDGE } from "./node-process.ts";

/** Who is let in. */
export const USER = { user: "app", credential: `hf_${"a1_-".repeat(8)}` } as const;

/** What the proxy door works with: a real node's parts, and an edge that the test speaks for. */
export interface ProxyParts {
  readonly context: ProxyContext;
  readonly streams: Streams;
  /** What the edge was asked, in order. */
  readonly asked: { readonly user: ProxyUser; readonly target: string }[];
  /** The lines of the log. */
  readonly lines: Record<string, unknown>[];
  /** What the edge says to whom it knows; it lets all in where this is undefined. */
  judge: ((target: string) => void | Promise<void>) | undefined;
  /** Of the grants from now on. */
  limits: GrantLimits | undefined;
  stop(): Promise<void>;
}

/** @param config laid over the node's configuration */
export async function startProxyParts(
  bounds: Partial<StreamBounds> = { tickMs: 100 },
  config: Readonly<Record<string, unknown>> = {},
): Promise<ProxyParts> {
  const node: NodeHere = await startNodeHere(undefined, config);
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: "debug" },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const metrics = new Metrics({
    active: () => 0,
    connections: () => 0,
    slots: () => 0,
    draining: () => false,
    inService: () => [],
  });
  const streams = new Streams(node.relay, metrics, log, () => {}, bounds);
  const authorizer: ProxyAuthorizer = {
    async authorize(user, target) {
      checkCredential(user, { edge: EDGE, now: node.relay.now() });
      parts.asked.push({ user, target });
      if (user.credential !== USER.credential) throw new RelayError("handle_unknown", "it is not known");
      await parts.judge?.(target);
      const iat = node.relay.now();
      const sub = user.user ?? USER.user;
      const times = { iat, exp: iat + 300, jti: newRequestId() };
      const limits = parts.limits === undefined ? {} : { limits: parts.limits };
      const grant = { iss: EDGE, aud: node.id, sub, act: "proxy" as const, target, ...times, ...limits };
      return { grant, rules: [] };
    },
    close: () => Promise.resolve(),
  };
  const requests = new Requests(metrics, log, () => {});
  const parts: ProxyParts = {
    context: { node: node.relay, streams, requests, authorizer, metrics, log },
    streams,
    asked: [],
    lines,
    judge: undefined,
    limits: undefined,
    async stop() {
      streams.close();
      await node.stop();
    },
  };
  return parts;
}
