import { importPrivateKey, parseRelayUrl } from "../../protocol/keys.ts";
import { tunnelUrl } from "../../protocol/targets.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";
import { streamClaims } from "../stream-connection.ts";
import type { StreamTarget } from "../stream-session.ts";
import { GrantsDesk } from "./grants.ts";
import { NODE_REACH_MS } from "./limits.ts";

/** Whether a node answers straight from here. */
export type Reach = { readonly url: string } & ({ readonly ms: number } | { readonly cause: Error });

/**
 * Looks whether a node can be reached directly: the edge is asked for a grant, which is left unused, and the node that it
 * names for its health.
 *
 * @param node its id; undefined for the one that the edge names first
 * @throws RelayError as the edge refuses the grant
 */
export async function reachNode(
  relayUrl: string | undefined,
  { host, port }: StreamTarget,
  node: string | undefined,
): Promise<Reach> {
  const { edge, clientId, privateKey } = parseRelayUrl(relayUrl);
  const claims = streamClaims(
    { url: tunnelUrl(host, port), node, resume: undefined },
    { edge, clientId },
    { id: newRequestId(), seconds: Math.floor(Date.now() / 1_000) },
  );
  const desk = new GrantsDesk();
  const token = await signToken("request", claims, await importPrivateKey(privateKey));
  const [first] = await desk.ask(edge, token).grants;
  desk.forgetConnections();
  const { url } = first!;
  const start = performance.now();
  try {
    const signal = AbortSignal.timeout(NODE_REACH_MS);
    const answer = await fetch(`${url}/healthz`, { redirect: "manual", signal });
    await answer.body?.cancel();
    return { url, ms: performance.now() - start };
  } catch (cause) {
    return { url, cause: cause as Error };
  }
}
