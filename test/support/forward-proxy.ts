import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";
import { RelayError } from "../../protocol/errors.ts";
import type { GrantLimits } from "../../protocol/grants.ts";
import { rulesOf } from "../../protocol/proxy-grants.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import type { ProxyAuthorizer, ProxyUser } from "../../relay-node/proxy/authorizer.ts";
import { serveForward } from "../../relay-node/proxy/forward-door.ts";
import type { ProxyContext } from "../../relay-node/proxy/proxy-context.ts";
import { ProxyDoor } from "../../relay-node/proxy/proxy-door.ts";
import { type NodeHere, startNodeHere } from "./node-here.ts";
import { EDGE } from "./node-process.ts";

/** Whom the test's edge lets in: the field that says so. */
export const CREDENTIALS = `Proxy-Authorization: Basic ${btoa("app:secret")}`;

/** What the test's edge says to a user of the proxy; it lets one in where this gives nothing back. */
export type Judge = (user: ProxyUser, target: string) => Promise<void> | void;

/** A node's own parts behind a plain listener that serves requests in the absolute form. */
export interface ForwardProxy {
  readonly node: NodeHere;
  readonly port: number;
  /** Whom and what the edge was asked about, in order. */
  readonly asked: readonly { readonly user: ProxyUser; readonly target: string }[];
  /** How many users were found good. */
  readonly known: () => number;
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
  // What a node gives its proxy door is what is tested with, but for the edge and the listeners.
  let context: ProxyContext | undefined;
  const start = vi.spyOn(ProxyDoor, "start").mockImplementation(async (given) => {
    context = given;
    return { stop: () => {}, close: async () => {} };
  });
  const node = await startNodeHere(undefined, { proxy: { http: { host: "127.0.0.1", port: 0 } }, ...config });
  start.mockRestore();
  const asked: { user: ProxyUser; target: string }[] = [];
  let known = 0;
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
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  for (const event of ["request", "checkContinue", "checkExpectation"]) {
    server.on(event, (request: IncomingMessage, response: ServerResponse) =>
      serveForward({ ...context!, authorizer }, request, response, () => known++),
    );
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: ForwardProxy = {
    node,
    port: (server.address() as AddressInfo).port,
    asked,
    known: () => known,
    judge: undefined,
    limits: undefined,
    within: undefined,
    async stop() {
      server.close();
      server.closeAllConnections();
      await node.stop();
    },
  };
  return proxy;
}
