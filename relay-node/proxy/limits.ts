/** Every limit, lifetime and deadline of the proxy door. Units stand in the names. */

/** Tunnels at once, of all clients: each takes two files, and some 10 kB while it says nothing. */
export const PROXY_TUNNELS_MAX = 8_000;

/** One side of a tunnel has ended and nothing moves in the other direction: it is given up after this time. */
export const PROXY_HALF_CLOSED_MS = 300_000;

/** A grant of this age is asked for anew before a new use, where the edge can be asked; so much later a revocation counts. */
export const PROXY_GRANT_FRESH_MS = 20_000;

/** A grant that is used at this age is asked for anew in the background, so that steady users never wait. */
export const PROXY_GRANT_REFRESH_MS = 12_000;

/** What the edge may answer: the longest grant, in JSON. */
export const PROXY_ANSWER_MAX_BYTES = 66_560;

/** Questions under way at once: in all, and those of unknown credentials, each of which has one at a time. */
export const PROXY_QUESTIONS_MAX = 500;
export const PROXY_STRANGER_QUESTIONS_MAX = 250;

/** And those of one known credential, whatever its targets: its flood leaves room for others. */
export const PROXY_CREDENTIAL_QUESTIONS_MAX = 200;

/** After it could not be asked, the edge is left alone for this long: what is granted goes on without waiting for it. */
export const PROXY_EDGE_REST_MS = 1_000;

/** Grants that are kept, some kB each. */
export const PROXY_GRANTS_MAX = 10_000;

/** Those of one client: beyond this its own go first, or one that may go everywhere would drop all others'. */
export const PROXY_GRANTS_PER_CLIENT = 2_500;

/** How long it is remembered that somebody may not use the proxy. */
export const PROXY_REFUSED_MS = 10_000;

/** Refusals that are remembered. */
export const PROXY_REFUSED_MAX = 10_000;

/** A credential is no stranger's for this long after its last grant; and so many are known. */
export const PROXY_KNOWN_MS = 3_600_000;
export const PROXY_KNOWN_MAX = 10_000;

/**
 * How many unknown credentials from one address, and from all together, may be asked about, and how many questions of one
 * known credential may be refused: a burst, and so many a second. What is granted costs nothing.
 */
export const PROXY_STRANGER = { rate: 1, burst: 20 } as const;
export const PROXY_STRANGERS = { rate: 50, burst: 500 } as const;

/** Addresses, and known credentials, whose failures are remembered. */
export const PROXY_SENDERS_MAX = 10_000;

/** From a connection's beginning to the end of its TLS handshake, of a request's head, or of a SOCKS request. */
export const PROXY_HEAD_MS = 10_000;

/** Who has said nothing for so long, or twice that, is HTTP's server's to wait for: one that waits costs little until then. */
export const PROXY_SILENT_MS = 500;

/** The longest head of a request: a JWT's 16 kB in it are the most that any field needs. */
export const PROXY_HEAD_MAX_BYTES = 65_536;

/** Requests on one connection that came before the answer to another one was whole. */
export const PROXY_PIPELINED_MAX = 32;

/** And the bytes of their heads: each of all the connections may hold so many while no limit of a client's counts them. */
export const PROXY_PIPELINED_BYTES = 131_072;

/** A connection may rest this long between two requests. */
export const PROXY_KEEP_ALIVE_MS = 60_000;

/** TCP asks after a connection that says nothing for this long: a user that vanished is found before its idle limit. */
export const PROXY_TCP_KEEP_ALIVE_MS = 60_000;

/** Connections from one address, and in all, to all listeners of the proxy door together. */
export const PROXY_CONNECTIONS_PER_ADDRESS = 4_000;
export const PROXY_CONNECTIONS_MAX = 16_000;

/** The same as listeners take it. */
export const PROXY_LISTENER = {
  headBytes: PROXY_HEAD_MAX_BYTES,
  headMs: PROXY_HEAD_MS,
  idleMs: PROXY_KEEP_ALIVE_MS,
  tcpKeepAliveMs: PROXY_TCP_KEEP_ALIVE_MS,
  perAddress: PROXY_CONNECTIONS_PER_ADDRESS,
  inAll: PROXY_CONNECTIONS_MAX,
} as const;

/** Connections that have shown no credentials yet: beyond this the oldest of them is dropped. */
export const PROXY_STRANGERS_MAX = 2_000;

/** Those of one sender: beyond this its own oldest is dropped, so that one sender alone cuts nobody else. */
export const PROXY_STRANGERS_PER_SENDER = 500;
