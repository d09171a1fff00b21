/**
 * Every failure that the relay itself can answer with: one table, read by the edge, the nodes and the client.
 *
 * - `status`: the HTTP status of the answer.
 * - `proxy`: the error type of RFC 9209 that stands in `Proxy-Status`.
 * - `reached`: whether the target can have seen any byte of the request. `unknown` must be treated as a yes.
 * - `retryable`: a new request, signed anew, is safe and may well succeed.
 * - `mend`: what the reader can do about it.
 */
export interface ErrorRow {
  readonly status: number;
  readonly proxy: string;
  readonly reached: "no" | "yes" | "unknown";
  readonly retryable: boolean;
  readonly mend: string;
}

const row = (
  status: number,
  proxy: string,
  reached: ErrorRow["reached"],
  retryable: boolean,
  mend: string,
): ErrorRow => ({ status, proxy, reached, retryable, mend });

const denied = (status: number, mend: string): ErrorRow =>
  row(status, "http_request_denied", "no", false, mend);

export const ERRORS = {
  // The caller's token, judged at the edge.
  token_missing: denied(401, "Send Relay-Authorization: Bearer <request token>."),
  token_malformed: denied(401, "Send one compact JWS with the claims that docs/protocol.md lists."),
  token_type: denied(401, "Set the token's typ header to the kind that this door takes."),
  token_act: denied(401, "Sign a token whose act names this door."),
  token_signature: denied(401, "Sign with a private key whose public key the client has registered."),
  token_expired: denied(401, "Sign a new token, and check this machine's clock."),
  token_premature: denied(401, "Check this machine's clock: the token's iat lies in the future."),
  token_lifetime: denied(401, "Let exp lie no further after iat than the detail says."),
  token_audience: denied(401, "Set aud to the edge's own origin."),
  token_method: denied(401, "Sign the method that is used: htm differs from it."),
  token_url: denied(401, "Sign the URL that is used: url differs from it."),
  token_framing: denied(401, "Sign the framing that is used: framing differs from the body that came."),
  // Its first use may have reached the target: a network stack that repeats a request on its own makes such replays.
  token_replayed: row(
    401,
    "http_request_denied",
    "unknown",
    false,
    "Sign a new token for each request: this one was used before.",
  ),
  token_revoked: denied(401, "Sign a new token: an operator revoked this one."),
  handle_unknown: denied(401, "Make a new handle: this one is not known, or was revoked."),
  client_unknown: denied(401, "Register the client, or correct the id in HOLDFAST_URL."),

  // Judged at the node, which hears of it from its edge.
  revoked: denied(
    401,
    "Use credentials that stand: the client behind these, its key, its platform's rule, or the handle or token was removed.",
  ),

  // A client that a platform vouches for.
  platform_token_invalid: denied(
    401,
    "Send a fresh OIDC token as its platform issued it, of an issuer that the client's record trusts.",
  ),
  platform_token_refused: denied(
    403,
    "Ask the platform for a token with the audience that the client's record wants, in a workload that its claims admit.",
  ),
  proof_invalid: denied(
    401,
    "Send a DPoP proof, made by the new key for this very call, as docs/protocol.md says.",
  ),
  certificate_expired: denied(401, "Get a new certificate by POST /token: this one's time is over."),
  certificate_invalid: denied(
    401,
    "Get a new certificate by POST /token, and sign with the key that it was given for.",
  ),
  issuer_unavailable: row(
    503,
    "destination_unavailable",
    "no",
    true,
    "Try again: the keys of the platform's issuer could not be fetched. The edge's log says why.",
  ),

  // Who uses the proxy door, judged at the node before its edge is asked.
  proxy_credentials_missing: denied(
    407,
    "Put a client's id and a token for the proxy into the proxy's URL, as `holdfast proxy-url` prints it.",
  ),
  proxy_credentials_invalid: denied(
    407,
    "Use the proxy's URL as `holdfast proxy-url` prints it: the user is the client's id, the password its token or handle.",
  ),

  // What was asked for, judged at the edge and again at the node.
  request_invalid: denied(400, "Correct the request as the detail says."),
  url_invalid: denied(
    400,
    "Write the target in its canonical form: an absolute http(s) URL, a stream's as tcp://host:port, a CONNECT's as host:port.",
  ),
  fields_invalid: denied(
    400,
    "Send field names and values that RFC 9110 allows, and leave framing fields out.",
  ),
  head_late: denied(408, "Send a request's head at once."),
  fields_too_large: denied(431, "Send fewer or shorter header fields."),
  body_digest: denied(400, "Sign the digest of the body that is sent: they differ."),
  target_not_allowed: denied(
    403,
    "Add the target to the client's allow list. A scope token or handle has a list of its own, which has to name it, too.",
  ),
  address_refused: row(
    403,
    "destination_ip_prohibited",
    "no",
    false,
    "The target's address is private, reserved or the relay's own. An operator can open a range by name.",
  ),
  not_found: denied(404, "See the list of routes in docs/protocol.md."),
  method_not_allowed: denied(405, "Use the method that docs/protocol.md lists for this route."),
  version_conflict: denied(412, "Read the record again and send its current version in If-Match."),
  too_large: denied(413, "Send a smaller body."),

  // Limits. Nothing of the request went anywhere, and its id is not used up.
  rate_limited: row(
    429,
    "connection_limit_reached",
    "no",
    true,
    "Send less often: wait as long as Retry-After says, or have the client's limits raised.",
  ),
  concurrency_limited: row(
    429,
    "connection_limit_reached",
    "no",
    true,
    "Have fewer requests or streams under way at once, or have the client's limits raised.",
  ),
  quota_exceeded: denied(
    429,
    "Wait for the next month (UTC), as Retry-After says, or have the client's quota raised.",
  ),

  // Deliveries: what is accepted now and made later.
  hook_signature: denied(
    401,
    "Sign with a secret that the route has, over the very bytes that are sent, and check the sender's clock.",
  ),
  route_unknown: denied(404, "Make the route, or correct the URL: /hooks/<route>."),
  route_unreadable: row(
    503,
    "proxy_configuration_error",
    "no",
    true,
    "Send it again later: the route's record or secrets can't be read. The edge's log says why.",
  ),
  backlog_full: row(
    429,
    "connection_limit_reached",
    "no",
    true,
    "Send it again later: as much is stored as may be.",
  ),
  storage_unavailable: row(
    503,
    "proxy_internal_error",
    "unknown",
    false,
    "Send it again with the same event id or key: whether it was stored is not known.",
  ),
  delivery_conflict: denied(409, "Use a new key: this one is another request's."),
  delivery_unknown: denied(404, "Check the id and whose it is: there is no such delivery, or it was purged."),

  // The grant, judged at the node. A caller meets these only when edge and node disagree.
  grant_missing: denied(
    401,
    "Send the request to the edge: a node takes none but under a grant that the edge signed.",
  ),
  grant_invalid: denied(401, "Check that edge and node share the grant key and the edge's origin."),
  grant_expired: row(401, "http_request_denied", "no", true, "Try again; check the clocks of edge and node."),
  grant_node: denied(403, "Check the node's URL in the edge's configuration: the grant names another node."),
  request_predates_node: row(
    503,
    "destination_unavailable",
    "unknown",
    false,
    "The token is older than what the node remembers, so it may have been used. A new one is taken.",
  ),

  // On the way to the target.
  dns_failed: row(502, "dns_error", "no", true, "Check the target's host name."),
  dns_timeout: row(504, "dns_timeout", "no", true, "Try again; check the name servers of the target's zone."),
  connect_refused: row(502, "connection_refused", "no", true, "Check that the target listens on this port."),
  connect_failed: row(502, "destination_ip_unroutable", "no", true, "Check that the target can be reached."),
  connect_timeout: row(
    504,
    "connection_timeout",
    "no",
    true,
    "Check that the target admits the relay's addresses.",
  ),
  tls_certificate: row(
    502,
    "tls_certificate_error",
    "no",
    false,
    "The target's certificate is not valid for its name, or not what the client's record asks of it.",
  ),
  tls_failed: row(502, "tls_protocol_error", "no", true, "The target did not complete the TLS handshake."),

  // Streams.
  upgrade_required: denied(
    426,
    "Ask for the protocol that Upgrade names: a stream can't be carried by a plain request.",
  ),
  stream_unknown: row(
    410,
    "connection_terminated",
    "yes",
    false,
    "Open a new stream: the node has none of this id for this client and target, or not any more.",
  ),
  stream_protocol: row(
    400,
    "http_protocol_error",
    "yes",
    false,
    "One end broke the rules of holdfast.stream.v1: update the client or the node.",
  ),
  stream_lost: row(
    502,
    "connection_terminated",
    "yes",
    false,
    "The path between client and node was broken for too long. Open a new stream.",
  ),
  stream_idle: row(
    504,
    "connection_timeout",
    "yes",
    false,
    "Let something pass from time to time, or have the client's idle limit raised.",
  ),
  stream_lifetime: row(
    504,
    "connection_terminated",
    "yes",
    false,
    "Open a new stream: this one lasted as long as the client's streams may.",
  ),
  stream_cancelled: row(502, "connection_terminated", "yes", false, "The other end gave the stream up."),
  target_reset: row(502, "connection_terminated", "yes", false, "The target reset the connection."),

  // After the target may have seen the request.
  target_closed: row(502, "connection_terminated", "unknown", false, "The target closed before it answered."),
  target_protocol: row(502, "http_protocol_error", "yes", false, "The target's answer is not valid HTTP."),
  target_timeout: row(504, "http_response_timeout", "yes", false, "The target did not answer in time."),
  target_fields_too_large: row(
    502,
    "http_response_header_section_size",
    "yes",
    false,
    "The target's header fields exceed the limit.",
  ),
  status_not_representable: row(
    502,
    "http_protocol_error",
    "yes",
    false,
    "Use the enveloped form: a raw answer cannot carry this status.",
  ),
  body_cut: row(
    400,
    "http_request_error",
    "yes",
    false,
    "The request's body ended early or differed from what was signed.",
  ),

  // The relay itself.
  node_draining: row(503, "destination_unavailable", "no", true, "Try again: another node will take it."),
  node_out_of_service: row(
    503,
    "destination_unavailable",
    "no",
    true,
    "The node can't prove its egress address. Another node will take the request; see this one's /healthz.",
  ),
  node_full: row(
    503,
    "connection_limit_reached",
    "no",
    true,
    "Try again: the node carries as many streams as it can. Another one may have room.",
  ),
  node_unreachable: row(
    502,
    "destination_unavailable",
    "unknown",
    false,
    "The edge lost its connection to the node.",
  ),
  node_failed: row(
    502,
    "proxy_internal_response",
    "unknown",
    false,
    "The node's answer carried no mark of its own.",
  ),
  node_internal: row(
    500,
    "proxy_internal_error",
    "unknown",
    false,
    "See the node's log for this request id.",
  ),
  node_unknown: denied(
    400,
    "Name a node of the client's pool, or none; use the proxy of a node that the detail names.",
  ),
  node_unproven: denied(
    403,
    "Check that the edge's NODES lists this node with its own key, that both have the edge's origin alike, and their clocks.",
  ),
  authorization_unavailable: row(
    503,
    "destination_unavailable",
    "no",
    true,
    "Try again: the node could not ask its edge, and knows of no grant for this.",
  ),
  no_node: row(503, "destination_unavailable", "no", true, "No node is configured or in service."),
  edge_misconfigured: row(
    503,
    "proxy_configuration_error",
    "no",
    false,
    "See the edge's log: its configuration is not valid.",
  ),
  edge_internal: row(500, "proxy_internal_error", "unknown", false, "See the edge's log."),
  registry_unavailable: row(
    503,
    "proxy_internal_error",
    "no",
    true,
    "Try again: the registry did not answer.",
  ),

  // Seen by the client alone.
  platform_token_missing: denied(
    401,
    "Run where a platform tells who is asking, give its token in HOLDFAST_ID_TOKEN_FILE or HOLDFAST_ID_TOKEN, or put a private key into HOLDFAST_URL.",
  ),
  platform_token_failed: row(
    503,
    "destination_unavailable",
    "no",
    true,
    "Try again; check that the platform lets this workload have an OIDC token, as docs/keyless.md tells.",
  ),
  edge_unreachable: row(
    502,
    "destination_unavailable",
    "unknown",
    false,
    "Check the edge's URL and the network.",
  ),
  edge_failed: row(
    502,
    "proxy_internal_response",
    "unknown",
    false,
    "The answer carried no mark of the relay: it is a page of something in between.",
  ),
  answer_invalid: row(
    502,
    "http_protocol_error",
    "yes",
    false,
    "The relay's answer could not be decoded: update the client or the edge.",
  ),
  answer_cut: row(502, "connection_terminated", "yes", false, "The target's answer ended early."),
  receipt_invalid: row(
    502,
    "proxy_internal_response",
    "yes",
    false,
    "The answer has no receipt that its node's published key verifies: the address it left from is not proven.",
  ),
  egress_not_listed: row(
    502,
    "proxy_internal_response",
    "yes",
    false,
    "The request left from an address that is not in the list given to the client: compare it with egress.json.",
  ),
  redirect_failed: row(
    502,
    "http_protocol_error",
    "yes",
    false,
    "Set redirect to manual, or send a body that can be sent again.",
  ),
} as const satisfies Record<string, ErrorRow>;
