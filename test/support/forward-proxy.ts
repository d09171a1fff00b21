import { vi } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import type { GrantLimits } from "../../protocol/grants.ts";
import { rulesOf } from "../../protocol/proxy-grants.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import type { ProxyAuthorizer, ProxyUser } from "../../relay-node/proxy/authorizer.ts";
import { ProxyDoor } from "../../relay-node/proxy/proxy-door.ts";
import { type NodeHere, startNodeHere } from "./node-here.ts";
import { EDGE } from "./node-process.ts";
import { freePort } from "./stack.ts";

/** Whom the test's edge lets in: the field that says so. */
export const CREDENTIALS = `Proxy-Authorization: Basic ${btoa("app:secret")}`;

/** What the test's edge says to a user of the proxy; it lets one in where this gives nothing back. */
export type Judge = (user: ProxyUser, target: string) => Promise<void> | void;

/** A node with its proxy door, and an edge that the test speaks for. */
export interface ForwardProxy {
  readonly node: NodeHere;
  readonly port: number;
  /** Whom and what the edge was asked about, in order. */
  readonly asked: readonly { readonly user: ProxyUser; readonly target: string }[];
  judge: Judge | undefined;
  /** Of the grants from now on. */
  limits: GrantLimits | undefined;
  within: readonly (readonly string[])[] | undefined;
  stop(): Promise<void>;
}

/** @param config laid over the node's configuration */
export async function startForwardProxy(
  config: Readonly<Record<string, unknown>> = {},
): Promise<ForwardProxy> {
  const asked: { user: ProxyUser; target: string }[] = [];
  const authorizer: ProxyAuthorizer = {
    async authorize(user, target) {
      asked.push({ user, target });
      await proxy.judge?.(user, target);
      if (user.credential !== "secret") throw new RelayError("handle_unknown", "it is not known");
      const iat = node.relay.now();
      const grant = {
        iss: EDGE,
        aud: node.id,
        sub: user.user ?? "bearer",
        act: "proxy" as const,
        iat,
        exp: iat + 300,
        jti: newRequestId(),
        target,
        ...(proxy.limits && { limits: proxy.limits }),
        ...(proxy.within && { within: proxy.within }),
      };
      return { grant, rules: rulesOf(grant) };
    },
    close: async () => {},
  };
  // The real door, but for its edge.
  const door = ProxyDoor.start.bind(ProxyDoor);
  const start = vi
    .spyOn(ProxyDoor, "start")
    .mockImplementation((context) => door({ ...context, authorizer }));
  const port = await freePort();
  const node = await startNodeHere(undefined, { proxy: { http: { host: "127.0.0.1", port } }, ...config });
  start.mockRestore();
  const proxy: ForwardProxy = {
    node,
    port,
    asked,
    judge: undefined,
    limits: undefined,
    within: undefined,
    stop: () => node.stop(),
  };
  return proxy;
}
