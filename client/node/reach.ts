import { tunnelUrl } from "../../protocol/targets.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { attempted, createSigner } from "../signer.ts";
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
  const signer = createSigner(relayUrl);
  const desk = new GrantsDesk();
  const [first] = await attempted(signer, async (sign) => {
    const claims = streamClaims({ url: tunnelUrl(host, port), node, resume: undefined }, signer, {
      id: newRequestId(),
      seconds: Math.floor(Date.now() / 1_000),
    });
    return desk.ask(signer.edge, await sign(claims)).grants;
  });
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
