/** Every limit of the client's own. Bytes, seconds or counts, as named. */

/** A request token is signed for this long: the longest the edge admits, so that a slow start costs nothing. */
export const REQUEST_TOKEN_SECONDS = 60;

/** As many hops as the Fetch standard follows (HTTP-redirect fetch, step 5). */
export const REDIRECTS_MAX = 20;

/**
 * A Request object does not tell whether its body was a string or a stream. One that ends within this many bytes is sent
 * with a length and a digest, a longer one in chunks.
 */
export const REQUEST_BODY_AT_HAND_BYTES = 1_048_576;

/** A Blob may be a file on disk: a larger one is sent with its length but without a digest, so it is never held whole. */
export const BLOB_DIGEST_MAX_BYTES = 16_777_216;

/** A body nobody will read (a redirect's, a refusal's) is read up to here so that its connection can be used again. */
export const DRAIN_MAX_BYTES = 65_536;

/** A relay's problem JSON is far smaller; no more of such a body is read. */
export const PROBLEM_MAX_BYTES = 65_536;

/** As many content codings on one body as undici undoes; more is an attack, not a document. */
export const CODINGS_MAX = 5;

/** Nodes' published keys are asked for again after this time. */
export const NODE_KEYS_MS = 600_000;

/** A receipt that does not hold has the keys asked for again, but not within this time of the last answer. */
export const NODE_KEYS_COOLDOWN_MS = 30_000;

/** For getting the list of addresses, with the nodes' keys in it. */
export const NODE_KEYS_DEADLINE_MS = 10_000;

/** How often it is looked whether what another request has begun is over. */
export const SHARED_TASK_POLL_MS = 10;

/** The list of addresses; one of a hundred nodes has some 50 kB. */
export const EGRESS_LIST_MAX_BYTES = 1_048_576;

// Streams.

/** An edge has this long until a stream is open: the node dials the target meanwhile, under deadlines of its own. */
export const STREAM_OPEN_MS = 60_000;

/** For one attempt to take a stream up again, where the node dials nothing. */
export const STREAM_REOPEN_MS = 10_000;

/** A lost connection is replaced at once; an attempt that fails is followed by a wait, which doubles from the first to the longest. */
export const STREAM_RETRY_FIRST_MS = 250;
export const STREAM_RETRY_MAX_MS = 2_000;

/** A connection that held for less counts as an attempt that failed: the next one is not made at once. */
export const STREAM_STEADY_MS = 2_000;

/** The node may notice a loss this much later than the client, so that it keeps the stream longer. */
export const STREAM_RESUME_EXTRA_MS = 2_000;

/** Longer pieces are sent in several messages, so that also a slow line has something to acknowledge every few seconds. */
export const STREAM_SEND_BYTES = 65_536;

/** A stream that the app has closed is kept until what it sent has arrived; given up once nothing of it has for this long. */
export const STREAM_LINGER_MS = 30_000;

/** And, once it has arrived, for as long until the target has ended its side, too; else it is reset. */
export const STREAM_CLOSE_MS = 2_000;

/** A target that is expected has a path opened ahead of it for as long as it was asked for within this time. */
export const SPARE_KEEP_MS = 60_000;

/** Targets at once that have one. */
export const SPARES_MAX = 8;

/** For getting one; and when one was not to be had, or was lost soon, for the next try. */
export const SPARE_OPEN_MS = 10_000;
export const SPARE_RETRY_MS = 15_000;

/** One that was lost after this time was lost with its edge or node, and is replaced after the second time. */
export const SPARE_STEADY_MS = 5_000;
export const SPARE_REPLACE_MS = 1_000;

/** So long before a node would end it, it is replaced. */
export const SPARE_MARGIN_MS = 3_000;

/** One that waits is asked for a sign of life as often, and is replaced where it has given none by the next time. */
export const SPARE_ASK_MS = 3_000;

/** One that was not heard of for so long is not used: the app's first bytes might be lost with it. */
export const SPARE_HEARD_MS = 4_500;

/** A node that is told to dial has this long to say anything: a path may have died unseen. */
export const SPARE_WORD_MS = 3_000;

/** The largest window that a node may ask for: what a stream can hold in memory, each way. */
export const STREAM_WINDOW_MAX_BYTES = 16_777_216;

/** The hosts of a service, and the answer that names them; the largest clusters have some 50. */
export const SEEDS_MAX = 100;
export const RESOLVE_MAX_BYTES = 65_536;

/** The longest list of proxies that is read: some hundreds of URLs. */
export const PROXY_LIST_MAX_BYTES = 65_536;

// Keyless clients.

/** For getting the platform's token, however many questions that takes. */
export const PLATFORM_TOKEN_MS = 10_000;

/** The longest platform token; those of today have 1 to 2 kB. */
export const PLATFORM_TOKEN_MAX_BYTES = 16_384;

/** The longest answer of a platform's endpoint. */
export const PLATFORM_ANSWER_MAX_BYTES = 65_536;

/** For the edge's answer to the question for a certificate. */
export const CERTIFICATE_EXCHANGE_MS = 10_000;

/**
 * For how long a call that gets a certificate keeps others from asking for one: in workerd it may have ended with the request that it
 * was for.
 */
export const CERTIFICATE_TURN_MS = 3_000;

/** The longest answer with a certificate. */
export const CERTIFICATE_ANSWER_MAX_BYTES = 32_768;

/** After this part of its life a certificate is renewed while it goes on being used. */
export const CERTIFICATE_RENEW_AT = 2 / 3;

/** With less than this left it is renewed before it is used again: a request token lives as long. */
export const CERTIFICATE_MARGIN_MS = 60_000;

/** A renewal that failed is not tried again within this time, as long as the certificate is good. */
export const CERTIFICATE_COOLDOWN_MS = 5_000;

/** For how many clients of edges a process keeps certificates at once. */
export const CERTIFICATE_KEEPERS_MAX = 32;

/** A scope token may be cut short by this much, which is what getting its certificate took. */
export const SCOPE_SHORTFALL_SECONDS = 15;

// Deliveries.

/** Waits before a request is handed over again by the same token: together they stay well within its time. */
export const ENQUEUE_WAITS_MS = [250, 1_000, 3_000, 8_000] as const;

/** An id and a word. */
export const ACCEPTED_MAX_BYTES = 1_024;

/** All that is known of a delivery: some tens of attempts, and the beginning of an answer. */
export const DELIVERY_DETAIL_MAX_BYTES = 1_048_576;
