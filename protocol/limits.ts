/** Every limit, lifetime and deadline that both ends of a boundary must agree on. Seconds, bytes or counts, as named. */

/** Clocks of client, edge and node may differ by this much. */
export const CLOCK_LEEWAY_SECONDS = 5;

/** A request token lives at most this long from its `iat`. */
export const REQUEST_TOKEN_MAX_SECONDS = 60;

/** A grant must be begun within this time of being signed. */
export const GRANT_MAX_SECONDS = 30;

/** A proxy grant lives this long: how long what was granted goes on while the edge can't be asked. */
export const PROXY_GRANT_SECONDS = 300;

/** The longest question of a node's about a user of its proxy door: a scope token with a target. */
export const PROXY_QUESTION_MAX_BYTES = 32_768;

/** The longest proxy grant: it may hold the paths and methods of a client's and a token's targets. */
export const PROXY_GRANT_MAX_BYTES = 65_536;

/** The longest tail behind a body between edge and node. */
export const GRANT_TAIL_MAX_BYTES = 16;

/** An administrative token lives at most this long; each names one call. */
export const ADMIN_TOKEN_MAX_SECONDS = 60;

/**
 * How long a node must remember a consumed request id. The earliest use is a leeway before the token's `iat` by the edge's
 * clock, and one more by a node whose clock is behind the edge's; the latest is a leeway after its `exp`, under a grant
 * that is begun a leeway after its own `exp`.
 */
export const CONSUMED_MEMORY_SECONDS =
  REQUEST_TOKEN_MAX_SECONDS + GRANT_MAX_SECONDS + 4 * CLOCK_LEEWAY_SECONDS;

/**
 * A grant that was signed up to this long after what it goes back to was revoked is revoked with it: the edge's isolates
 * remember for 10 s, and clocks differ.
 */
export const REVOCATION_GRACE_SECONDS = 10 + CLOCK_LEEWAY_SECONDS;

/** Revocations in one answer of the edge's to a node. */
export const REVOCATIONS_PAGE_MAX = 1_000;

/** A message from one node to another is good for this long. */
export const NODE_MESSAGE_MAX_SECONDS = 30;

/** Used request ids in one message between nodes, and its body's length: each is a line of at most 127 bytes. */
export const CONSUMED_BATCH_MAX_ENTRIES = 2_000;
export const CONSUMED_BATCH_MAX_BYTES = 262_144;

/** Totals in one report of a node's on what its clients used, and its body's length: each has at most 300 bytes. */
export const USAGE_REPORT_MAX_TOTALS = 500;
export const USAGE_REPORT_MAX_BYTES = 262_144;

/** For how many whole months after its end the totals of a month are taken: what a node could not tell before. */
export const USAGE_LATE_MONTHS = 2;

/** The longest compact JWS that is looked at. It holds a URL of `URL_MAX_BYTES` in base64url with room for the claims. */
export const TOKEN_MAX_BYTES = 16_384;

/** The longest grant but a proxy's: the longest URL, and the most that a record may ask of TLS, in base64url with room for the rest. */
export const GRANT_MAX_BYTES = 32_768;

/** The longest target URL. */
export const URL_MAX_BYTES = 8_192;

/** The longest method name; RFC 9110 sets none, the longest registered one has 17 characters. */
export const METHOD_MAX_BYTES = 32;

/** An encoded field section (all names and values of a message), before base64url. */
export const FIELDS_MAX_BYTES = 131_072;

/** How many field lines one message may carry. */
export const FIELDS_MAX_COUNT = 1_000;

/** One wire field of an encoded section is at most this long; proxies on the way commonly stop at 16 kB a field. */
export const FIELDS_PIECE_BYTES = 8_192;

/**
 * A response's encoded section up to this size travels in header fields, a larger one in front of the body. Node's
 * built-in fetch takes no more than 16 kB of response fields in all and offers no way to raise that.
 */
export const FIELDS_IN_HEAD_BYTES = 8_192;

/** The limit that Node's HTTP parser is raised to on every hop of the relay's own. */
export const HTTP_HEADER_MAX_BYTES = 262_144;

/** How many nodes one token may name. */
export const NODE_CHOICE_MAX = 16;

/**
 * A body of at most this length is held whole before anything is dialled: at the edge, so that another node can be sent it
 * where the first one never began, and at the node, so that a signed digest is proven first.
 */
export const BUFFERED_BODY_BYTES = 65_536;

/** The signed list of addresses is good for this long. */
export const EGRESS_LIST_SECONDS = 3_600;

/** The longest signed list of addresses that is read: some hundreds of nodes. */
export const EGRESS_LIST_MAX_BYTES = 524_288;

/** How many `allow` entries and keys one client may have. */
export const CLIENT_ALLOW_MAX = 200;
export const CLIENT_KEYS_MAX = 4;

/** Of what a client's record may ask of TLS to a target: entries, and of each the authorities, their length in base64, and the pins. */
export const TARGET_TLS_MAX = 50;
export const TARGET_CA_MAX = 8;
export const TARGET_CA_MAX_BYTES = 8_192;
export const TARGET_PINS_MAX = 8;

/** How many targets one scope token may name. */
export const SCOPE_ALLOW_MAX = 50;

/** How long a scope token may live where the client's record says nothing else. */
export const SCOPE_TOKEN_SECONDS = 90 * 86_400;

/** A certificate lives at most this long, and no longer than the platform's token that it was given for. */
export const CERTIFICATE_MAX_SECONDS = 900;

/** The longest certificate: in a token's header it leaves room for the longest URL. */
export const CERTIFICATE_MAX_BYTES = 3_072;

// Streams (`holdfast.stream.v1`).

/**
 * How much of a stream may be on its way or unread, each way: what a sender keeps until the other end has consumed it. Over a
 * path of 100 ms it carries 10 MB/s.
 */
export const STREAM_WINDOW_BYTES = 1_048_576;

/** The longest binary message, and the longest control message. */
export const STREAM_MESSAGE_MAX_BYTES = 262_144;
export const STREAM_CONTROL_MAX_BYTES = 2_048;

/** The longest capsule that is read and dropped, since nobody here knows its type (RFC 9297 section 3.2). */
export const CAPSULE_UNKNOWN_MAX_BYTES = 65_536;

/** The longest message of a stream without a protocol of its own: its sender cuts messages as it likes. */
export const RAW_MESSAGE_MAX_BYTES = 16_777_216;

/** What was consumed is acknowledged after this much of it, and otherwise with the next look at the clock. */
export const STREAM_ACK_BYTES = STREAM_WINDOW_BYTES / 8;

/** How often each end looks at the clock. */
export const STREAM_TICK_MS = 1_000;

/** An end that has heard nothing for this long asks whether the other one is there; sooner while it waits for an ack. */
export const STREAM_QUIET_MS = 15_000;
export const STREAM_QUIET_BUSY_MS = 3_000;

/** The other end has this long to answer before the connection counts as lost. */
export const STREAM_PONG_MS = 5_000;

/** A node keeps a stream that lost its connection for this long. */
export const STREAM_RESUME_SECONDS = 30;

// Deliveries.

/** The longest body that is stored: what GitHub sends at most. */
export const DELIVERY_BODY_MAX_BYTES = 25 * 1_048_576;

/** Seconds before each of ten attempts, as Standard Webhooks recommends them. */
export const DELIVERY_SCHEDULE_SECONDS = [
  0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
] as const;

/** Of a schedule of one's own: attempts, and seconds before one of them. */
export const DELIVERY_SCHEDULE_MAX = 50;
export const DELIVERY_DELAY_MAX_SECONDS = 7 * 86_400;

/** The longest lane, and the longest id by which an event is known again. */
export const DELIVERY_NAME_MAX = 256;

/** How much of a target's answer is kept. */
export const DELIVERY_ANSWER_BYTES = 4_096;
