import { HTTP_HEADER_MAX_BYTES } from "../protocol/limits.ts";

/** Every limit, lifetime and deadline of a node that no other part has to know. Units stand in the names. */

// Resolving names.

/** One query to one name server. The next try asks the next server. */
export const DNS_TRY_MS = 1_500;

/** How often a query is sent before it counts as unanswered. */
export const DNS_TRIES = 3;

/** A look-up ends after this time, whatever its tries are doing. */
export const DNS_DEADLINE_MS = 5_000;

/** Once one family has answered, how long the other one is waited for. */
export const DNS_OTHER_FAMILY_MS = 300;

/** Answers are kept for their TTL, within these bounds: a TTL of 0 must not cost a query for each request. */
export const DNS_TTL_MIN_SECONDS = 1;
export const DNS_TTL_MAX_SECONDS = 300;

/** How long it is remembered that a name does not exist or has no address. */
export const DNS_NEGATIVE_TTL_SECONDS = 5;

/** How long an answer is kept where one family failed: soon enough to see the other one come back. */
export const DNS_PARTIAL_TTL_SECONDS = 5;

/** A name that was used within this time, or within its TTL where that is longer, is looked up again after this part of its TTL. */
export const DNS_WARM_SECONDS = 30;
export const DNS_WARM_LEAD = 0.9;

/** A shorter TTL would cost more queries than it saves waiting. */
export const DNS_WARM_TTL_MIN_SECONDS = 2;

/** Names that are kept warm at once; others wait for a name server when their TTL has ended. */
export const DNS_WARM_MAX_NAMES = 256;

/** Names in the cache. The one that was used least recently goes first. */
export const DNS_CACHE_MAX_NAMES = 10_000;

/** A name with more addresses than this is refused: all of them have to be judged and kept. */
export const DNS_ADDRESSES_MAX = 64;

/** Hosts that a `mongodb+srv` name may stand for, and the length of the options in its TXT record. */
export const SEEDS_MAX = 64;
export const SEED_OPTIONS_MAX_BYTES = 1_000;

// Dialling.

/** How long the list of this host's addresses counts, which must not be dialled: one that it gains may be, until then. */
export const OWN_ADDRESSES_MS = 1_000;

/** From the first connection attempt to the established one, over all addresses of a name. */
export const CONNECT_DEADLINE_MS = 10_000;

/** How long an attempt has before the next address is tried beside it (RFC 8305 section 5). */
export const CONNECT_STAGGER_MS = 250;

/** Local ports that are tried for an address before the system chooses one. */
export const LOCAL_PORT_TRIES = 3;

/** Addresses of a name that are tried; the rest stands unused. */
export const CONNECT_ADDRESSES_MAX = 8;

/** The TLS handshake, from the established connection on. */
export const TLS_DEADLINE_MS = 10_000;

/** TLS sessions that are kept for resumption, each a few kB. */
export const TLS_SESSIONS_MAX = 1_000;

/** How long resumption may go on after the handshake that showed the certificate, which it doesn't show again. */
export const TLS_SESSION_MAX_SECONDS = 600;

/** Sets of authorities and versions that are kept ready for handshakes; one takes some 100 kB. */
export const TLS_CONTEXTS_MAX = 200;

/** Certificates of a chain whose keys are compared with pins. */
export const TLS_CHAIN_MAX = 10;

// Connections to targets.

/** A warm connection that nothing used for this long is closed. Common servers close theirs after 60 to 75 s. */
export const IDLE_CONNECTION_MS = 55_000;

/** What can't be repeated takes a warm connection only within this time of its last use, else a new one. */
export const JUST_USED_MS = 1_000;

/**
 * Connections that are made ahead. A target counts as long as a grant lives: nothing is sent by them but a handshake, to where the edge
 * let that client's requests go just now.
 */
export const SPARES = { inAll: 64, perClient: 4, seconds: 30 } as const;

/** The longest time that a target may count as asked for lately: a connection that nobody uses is closed then anyway. */
export const SPARE_SECONDS_MAX = 55;

/** How many are made, one after the other, for one request: a target that closes each of them at once is left alone then. */
export const SPARES_EACH = 2;

/** Routes that are remembered as asked for lately, some 300 bytes each. */
export const SPARE_ROUTES_MAX = 4_096;

/** Above this many connections in all, one that falls idle is closed. */
export const IDLE_CONNECTIONS_MAX = 2_000;

/** Requests at once on one HTTP/2 connection. */
export const STREAMS_PER_CONNECTION = 100;

/**
 * What a socket may hold in each direction before its peer is slowed: one TLS record. Node's own 64 kB are held several
 * times over on the way of one stream.
 */
export const STREAM_BUFFER_BYTES = 16_384;

// One exchange with a target.

/** From the last byte of the request to the answer's head. */
export const ANSWER_HEAD_MS = 120_000;

/** An answer's body may stand still this long. */
export const BODY_IDLE_MS = 300_000;

/** A first piece of an answer's body that waits for whether it is the whole of it, until all that came with it is read. */
export const SHORT_BODY_BYTES = 16_384;

/** A request's body may stand still this long. */
export const UPLOAD_IDLE_MS = 60_000;

/** Once an answer is whole, what is still being uploaded is read and dropped for this long. */
export const LATE_UPLOAD_MS = 10_000;

/** A small body that is taken whole before anything is dialled has this long to come; the edge has it at hand. */
export const WHOLE_BODY_MS = 10_000;

// The node's own listener.

/** A caller has this long to send a request's head. */
export const HEADERS_DEADLINE_MS = 10_000;

/** Open connections from one address, or one IPv6 network of 64 bits. An edge's own are few, and clients that come straight here may share one: no small number. */
export const CONNECTIONS_PER_ADDRESS = 4_000;

/**
 * Streams of the stream door at once, of all clients: each takes one of the connections above, and where an edge has one address the requests and the
 * questions after the node's health must find one, too.
 */
export const STREAMS_MAX = 3_000;

/** Open connections in all, some 50 kB each with TLS. */
export const CONNECTIONS_MAX = 16_000;

/** A connection from the edge may rest this long between requests; the edge closes its own earlier. */
export const INBOUND_IDLE_MS = 120_000;

/** The same as the listener takes it. It keeps a resting connection longer than the edge, and so never closes under a request. */
export const LISTENER = {
  headBytes: HTTP_HEADER_MAX_BYTES,
  headMs: HEADERS_DEADLINE_MS,
  idleMs: INBOUND_IDLE_MS,
  perAddress: CONNECTIONS_PER_ADDRESS,
  inAll: CONNECTIONS_MAX,
} as const;

/** How often certificate and key files are looked at for changes. */
export const CERTIFICATE_POLL_MS = 2_000;

/** A node that drains goes on refusing new requests for this long, even where nothing is under way. */
export const DRAIN_LINGER_MS = 2_000;

/** What a drain cuts has this long to be told so. */
export const DRAIN_ANSWER_MS = 1_000;

/** The answer to a refused upgrade has this long to leave before its connection is cut. */
export const LAST_ANSWER_MS = 5_000;

// Streams.

/**
 * What a caller may send before its upgrade is answered: whoever waits for the answer sends nothing. And what is read of a parked path
 * while its target is dialled; the rest waits in the connection.
 */
export const STREAM_EARLY_BYTES = 65_536;

/** How long a path is kept that is opened ahead of its dial. Its grant ends it as well: what begins late was not allowed. */
export const STREAM_PARKED_SECONDS = 25;

/** Paths that are opened ahead of their dials, some 50 kB each: of one client, and of all together. */
export const STREAMS_PARKED_PER_CLIENT = 50;
export const STREAMS_PARKED_MAX = 500;

/** The most that one write to a target, or one message from it, carries: what streams of one client take turns by. */
export const STREAM_TURN_BYTES = 65_536;

/** What streams keep their bytes in: those that say little small blocks, others such as hold a whole turn. */
export const STREAM_BLOCK_BYTES = [4_096, 16_384, STREAM_TURN_BYTES] as const;

/** A target that filled less than a part of its block so many times in a row gives it back. */
export const STREAM_SMALL_READS = 8;

/** Blocks that are kept while no stream needs them. */
export const STREAM_BLOCKS_SPARE_BYTES = 16_777_216;

/** How often one stream may be resumed: a burst, and so many a second. A client that loses its path asks far less often. */
export const STREAM_RESUMES = { rate: 2, burst: 100 } as const;

/** Answers to pings and the like that may lie unread beside a window of bytes. */
export const STREAM_CONTROL_UNREAD_BYTES = 262_144;

/** A WebSocket that is being closed has this long for the other end's word. */
export const STREAM_CLOSE_MS = 5_000;

/** Without a protocol: what the target still has to say has this long, once the client has closed. Nobody reads it. */
export const RAW_CLOSE_MS = 10_000;

/** Without a protocol: bytes may lie unread this long. Whoever reads nothing answers no ping either. */
export const RAW_UNREAD_MS = 300_000;

// Used request ids, between the nodes of a pool.

/** Used ids stand in pieces of memory of this size, and are found by a table that has so many slots at first. */
export const MARK_PAGE_BYTES = 1_048_576;
export const MARK_SLOTS_MIN = 4_096;

/** A used id waits this long for others before it is told to the peers. */
export const CONSUMED_BATCH_MS = 30;

/** What entries are gathered in for a peer, at first. */
export const TOLD_BYTES_MIN = 32_768;

/** Messages to one peer that may be on their way at once: over a long line one takes many times as long as a batch waits. */
export const CONSUMED_IN_FLIGHT = 8;

/** A peer has this long to take a message. */
export const CONSUMED_SEND_MS = 2_000;

/** A peer that can't be reached is tried again after the first time, then after twice as long each, up to the second. */
export const PEER_RETRY_MIN_MS = 100;
export const PEER_RETRY_MAX_MS = 2_000;

/** A peer is spoken to at least this often: its connection stays open, and that it is lost shows before it matters. */
export const PEER_KEEP_WARM_MS = 30_000;

/** Ids that wait for one peer, some 100 bytes each. The oldest go first; no id waits longer than it has to be remembered. */
export const CONSUMED_QUEUE_MAX = 500_000;

/** Ids heard of peers in one generation, some 150 bytes each: more than 9,000 requests a second make. */
export const CONSUMED_HEARD_MAX = 1_000_000;

/** A start waits this long for what the peers remember. */
export const CONSUMED_READ_MS = 3_000;

/** The most that one peer's memory is read of. */
export const CONSUMED_READ_MAX_BYTES = 134_217_728;

/** One piece of a node's memory, as it is told to a peer that starts. */
export const CONSUMED_PIECE_BYTES = 65_536;

/** A node that goes has this long to tell its peers the last ids. */
export const CONSUMED_FLUSH_MS = 1_000;

// The proof of the node's own addresses.

/** From asking a witness, or the edge for its list, to the end of the answer, the look-up of the name included. */
export const WITNESS_DEADLINE_MS = 3_000;

/** A witness's answer is some dozens of bytes. */
export const WITNESS_ANSWER_MAX_BYTES = 4_096;

/** And the head of an answer, also of one with the edge's list. */
export const WITNESS_HEAD_MAX_BYTES = 4_096;

/** How long a proof holds while no witness can be reached. */
export const PROOF_LASTS_MS = 600_000;

/** The longest time between two rounds that may be configured: several must fit into the life of a proof. */
export const PROOF_INTERVAL_MAX_SECONDS = 120;

/** Between two rounds after one that proved nothing, or while no list was read, where the configured time is not shorter. */
export const PROOF_RETRY_MS = 5_000;

/** Between two rounds until the first proof. */
export const PROOF_FIRST_MS = 1_000;

/** Right verdicts in a row that are needed once another address was seen. */
export const PROOFS_AFTER_WRONG = 2;

// Asking the edge.

/** The edge has this long to answer a question of the node's. */
export const EDGE_ANSWER_MS = 5_000;

/** Connections to the edge that questions share, and how long one may rest. */
export const EDGE_CONNECTIONS = 64;
export const EDGE_IDLE_MS = 60_000;
