/**
 * Orders nodes for one request by rendezvous hashing: each id ranks the nodes in its own way, all isolates alike, and a
 * node that leaves moves only its own requests.
 *
 * @param requestId the token's jti
 * @example rankNodes(nodes, claims.jti)[0] // the node that is to make the call
 */
export function rankNodes<T extends { readonly id: string }>(nodes: readonly T[], requestId: string): T[] {
  return nodes
    .map((node) => ({ node, score: score(`${requestId}\n${node.id}`) }))
    .toSorted((a, b) => b.score - a.score || (a.node.id < b.node.id ? -1 : 1))
    .map(({ node }) => node);
}

/** FNV-1a with the finalizer of MurmurHash3: evenly spread, and cheap for strings of this size. */
function score(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
