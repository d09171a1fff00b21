/** An isolate uses a client's record or a handle's, or the fact that there is none, for at most this long. */
export const REGISTRY_CACHE_MS = 10_000;

/** How many of each an isolate remembers at once; strangers can name as many as they like. */
export const REGISTRY_CACHE_ENTRIES = 5_000;

/** The largest body of an administrative call. */
export const ADMIN_BODY_MAX_BYTES = 65_536;

/** How many clients, handles or changes one administrative answer lists. */
export const ADMIN_PAGE_MAX = 100;

/** Deliveries per second that are replayed or purged at once, over all of an owner's stores: by default, and at most. */
export const SWEEPS_PER_SECOND = 20;
export const SWEEPS_PER_SECOND_MAX = 1_000;

/** The longest reason for a pause, in characters. */
export const PAUSE_REASON_MAX = 256;

/** How often an isolate that nodes ask looks whether a store has lost its alarm, and how many it is told of at once. */
export const REARM_EVERY_MS = 600_000;
export const REARM_PAGE = 100;

/** How many stores are called at once. */
export const STORES_AT_ONCE = 4;

/** How many stores a change of a client's record wakes; any beyond see it by themselves, within seconds. */
export const WAKE_AT_MOST = 200;

/** How many changes of the registry are remembered; the oldest ones go. */
export const AUDIT_ROWS_MAX = 10_000;

/** How old revocations are, at most, that a node is told of which has heard of none yet. */
export const REVOCATIONS_RECENT_SECONDS = 120;

/**
 * A revocation is kept for a week at least, longer where the client's streams may last longer: for as long as a node that can't
 * ask may go on with what was begun before.
 */
export const REVOCATION_SECONDS = 7 * 86_400;

/** For how many whole months after its end a month's usage is kept. */
export const USAGE_KEPT_MONTHS = 25;

/** Epochs of one node's counters within some three months: each begins with a journal that was lost. */
export const USAGE_EPOCHS_MAX = 500;

/** Clients in one answer about usage. */
export const USAGE_PAGE_CLIENTS = 1_000;

/** How nodes are probed, in milliseconds. A node that is up is mostly judged by the requests that it serves. */
export const PROBE_TIMES = {
  healthyMs: 5_000,
  backoffMs: 500,
  backoffMaxMs: 8_000,
  returningMs: 500,
  stableProbes: 3,
  stableMs: 1_000,
} as const;

/** A probe that has no answer by then has failed. */
export const PROBE_DEADLINE_MS = 1_000;

/** The platform lets six calls wait for an answer at once: a seventh would wait for them, and its time would run. */
export const PROBES_AT_ONCE = 6;

/** An alarm that hasn't come this long after its time is set again. */
export const ALARM_LATE_MS = 10_000;

/** Nodes are probed for this long after an isolate last asked for their health. */
export const PROBE_IDLE_MS = 600_000;

/** An isolate asks for the shared health this often while it has requests, and sooner when it has seen a failure. */
export const HEALTH_REFRESH_MS = 1_000;

/** Requests that have nothing to go by wait at most this long to hear what the others know, and look this often. */
export const HEALTH_FIRST_MS = 300;
export const HEALTH_LOOK_MS = 5;

/** Where the shared health can't be asked: how long a node that failed is left alone, doubled with each failure. */
export const ALONE_BACKOFF_MS = 2_000;
export const ALONE_BACKOFF_MAX_MS = 30_000;

/** A node that has said nothing for this long, to a request that waits, is asked whether it is there. */
export const SUSPECT_MS = 1_000;

/**
 * While it answers, the silence after which the same request asks again doubles up to this: a request that waits for two
 * minutes asks 16 times, and the platform lets one make 50 calls on its smallest plan.
 */
export const SUSPECT_MAX_MS = 8_000;

/** How often a waiting request looks at what has been learnt of its node. */
export const WATCH_MS = 250;

/** So many unanswered questions in a row tell that a node is gone. */
export const SUSPECT_PROBES = 2;

/**
 * What may have begun at a node that is gone and can't be repeated waits this long for the node to come back, since giving
 * it up leaves its fate unknown.
 */
export const GONE_PATIENCE_MS = 15_000;

/** What a client may use of its pool where its record doesn't say; bytes are not limited then. */
export const CLIENT_REQUESTS_PER_SECOND = 5_000;
export const CLIENT_CONCURRENT = 2_000;
export const CLIENT_STREAMS = 1_000;

/** How long a client's streams may carry nothing, and how long they may last, where its record doesn't say. */
export const CLIENT_STREAM_IDLE_SECONDS = 3_600;
export const CLIENT_STREAM_LIFETIME_SECONDS = 86_400;

/** However many nodes a limit is split over, each one lets this many requests per second through. */
export const CLIENT_RATE_MIN = 0.1;

/** How many tokens from one address may fail at once, and how many more each second. */
export const FAILED_TOKENS_BURST = 20;
export const FAILED_TOKENS_PER_SECOND = 1;

/** What failed at the same moment is charged, too, up to this debt: a minute later its address begins anew. */
export const FAILED_TOKENS_DEBT_MAX = 60;

/** Addresses whose failures an isolate remembers. */
export const FAILED_SENDERS_MAX = 10_000;

/** The period of the platform's ceilings, as wrangler.toml has it. */
export const CEILING_SECONDS = 10;

/** To how many nodes a client is given grants at once, to try them itself. */
export const DIRECT_NODES_MAX = 3;

/** The longest answer of a node's about a seed list, and the most hosts in one. */
export const RESOLVE_ANSWER_MAX_BYTES = 65_536;
export const SEEDS_MAX = 100;

/** Targets that are used under a client whose list is not enforced: kept at the registry, and paths of each. */
export const OBSERVED_ROWS_MAX = 500;
export const OBSERVED_PATHS_MAX = 10;

/** How often an isolate tells of the same one, and how long it gathers before it tells of any. */
export const OBSERVED_REPEAT_MS = 60_000;
export const OBSERVED_GATHER_MS = 1_000;

/** How many of one client's an isolate has yet to tell, and remembers to have told; and of how many clients. */
export const OBSERVED_PENDING_MAX = 100;
export const OBSERVED_SENT_MAX = 500;
export const OBSERVED_CLIENTS_MAX = 100;

/** How many nodes are told that nobody waits any more: as many as a request is likely to have been tried at. */
export const CANCEL_NODES_MAX = 4;

/** How long a node may take to hear that nobody waits for a request any more. */
export const CANCEL_DEADLINE_MS = 5_000;

/** How much of a path is told back to whoever asks how it arrived, in characters. */
export const SEEN_PATH_MAX = 256;

/** How many issuers a client may trust, how many claims of each a rule may look at, and how long each text of one may be. */
export const ISSUER_RULES_MAX = 10;
export const ISSUER_CLAIMS_MAX = 8;
export const ISSUER_TEXT_MAX = 256;

/** The longest life of a platform's token: one that is stolen is good for as long, where a record takes it as it is. */
export const PLATFORM_TOKEN_MAX_SECONDS = 86_400;

/** The body of `POST /token`: a platform's token, and a few short members. */
export const TOKEN_FORM_MAX_BYTES = 20_480;

/** A proof of possession is good for this long after its `iat`, and has an id of at most this length. */
export const PROOF_SECONDS = 60;
export const PROOF_ID_MAX_BYTES = 128;

/** How long each of an issuer's two documents may take, and be. */
export const ISSUER_DEADLINE_MS = 3_000;
export const ISSUER_DOCUMENT_MAX_BYTES = 131_072;

/** How many keys an issuer may publish. */
export const ISSUER_KEYS_MAX = 100;

/** Issuers whose keys an isolate remembers. */
export const ISSUERS_MAX = 200;

/** An issuer's keys are fetched again after this long: how long a key goes on that it has taken back. */
export const ISSUER_FRESH_MS = 600_000;

/** For as long they are used while it can't be reached. */
export const ISSUER_STALE_MS = 4 * 3_600_000;

/** An issuer that was asked is not asked again before this long, whatever unknown keys tokens name. */
export const ISSUER_COOLDOWN_MS = 30_000;

/** One that didn't answer is asked again after this long. */
export const ISSUER_RETRY_MS = 5_000;

/** Requests that wait for what another one fetches look for it this often. */
export const ISSUER_LOOK_MS = 10;

/** Tokens for many requests that an isolate remembers to have proven, and how long one may be to be remembered: 4 MB of them at most. */
export const PROVEN_TOKENS_MAX = 1_000;
export const PROVEN_TOKEN_MAX_BYTES = 4_096;

/** Certificates that an isolate remembers to have proven, some 2 kB each. */
export const CERTIFICATES_MAX = 1_000;

// Deliveries.

/**
 * A stored body is cut into rows of this length. The platform takes rows of 2 MB; what is on its way to a store is held a few times
 * over, for each of `UPLOADS_AT_ONCE`.
 */
export const DELIVERY_CHUNK_BYTES = 262_144;

/** A body up to this length is held whole while its signature is proven; a longer one is staged in its store. */
export const HELD_BODY_BYTES = 262_144;

/** Longer than that, and still held whole: where what an event is known by stands in its body. */
export const KEYED_BODY_MAX_BYTES = 1_048_576;

/** How many bodies an isolate stages at once. */
export const UPLOADS_AT_ONCE = 32;

/** What an isolate holds of all bodies that it takes in at once: of each that is staged 768 kB, and some for those that are held. */
export const INTAKE_BYTES = UPLOADS_AT_ONCE * 1_048_576;

/** What of that one sender's bodies hold at most, a stranger's address or a client: so many staged ones, and room for others is left. */
export const INTAKE_BYTES_PER_SENDER = UPLOADS_AT_ONCE * 786_432;

/** A body that has not come whole by then is given up: 25 MB in it are 2 Mbit/s. */
export const INTAKE_DEADLINE_MS = 120_000;

/** Whoever meets a full store is asked to wait this long. */
export const BACKLOG_RETRY_SECONDS = 30;

/** What was staged and not committed by then is swept. */
export const STAGED_MS = 600_000;

/** How long an attempt has for its target's answer. */
export const ATTEMPT_DEADLINE_MS = 15_000;

/** What a route takes where its record doesn't say: calls per second, by each isolate. */
export const ROUTE_REQUESTS_PER_SECOND = 1_000;

/** For how long, at most, what has ended is kept. */
export const ROUTE_RETENTION_MAX_DAYS = 366;

/** How far the time that a provider signed may be from the edge's: for as long a call that was listened to can be repeated. */
export const HOOK_TOLERANCE_SECONDS = 300;

/** How many signatures of one call are looked at: providers send one for each secret that is live. */
export const HOOK_SIGNATURES_MAX = 16;

/** How many parameters a form has at most whose parameters are signed: Twilio sends some dozens. */
export const FORM_PARAMETERS_MAX = 1_000;

/** The platform takes rows of 2 MB. */
export const STORE_ROW_MAX_BYTES = 2_000_000;

/** What a store holds at most, of the 10 GB that the platform gives it. */
export const STORE_MAX_BYTES = 8_000_000_000;

/** What an event counts besides its request and its body: its row, and what the indexes have of it. */
export const EVENT_WEIGHT_BYTES = 1_024;

/** Of an owner, where its record doesn't say: deliveries that may be pending, and attempts per second; over all stores. */
export const DELIVERIES_PENDING = 1_000_000;
export const DELIVERIES_PER_SECOND = 400;

/** The platform lets six calls wait for an answer at once: one is for asking a silent node whether it is there. */
export const ATTEMPTS_AT_ONCE = 5;

/** An attempt that says nothing for so long is given up: what it holds may not be held for ever. */
export const ATTEMPT_LOST_MS = 60_000;

/** Attempts that are kept of one event. */
export const ATTEMPTS_KEPT = 20;

/** Delays of a schedule are longer or shorter by up to this share, so that what failed together doesn't come back together. */
export const DELIVERY_JITTER = 0.2;

/** What a target asks for by `Retry-After` is honoured up to this. */
export const RETRY_AFTER_MAX_SECONDS = 86_400;

/** So many attempts in a row that the edge's end interrupted: the event is taken for what ends it. */
export const INTERRUPTIONS_MAX = 10;

/** After so many of them it is tried alone, so that it takes nothing else along, and later each time. */
export const INTERRUPTIONS_SUSPECT = 2;

/** Failures in a row after which a target is only probed, and how long until the first probe; doubled with each that fails. */
export const BREAKER_FAILURES = 10;
export const BREAKER_PROBE_MS = 30_000;
export const BREAKER_PROBE_MAX_MS = 600_000;

/** How many targets that failed a store remembers. */
export const BREAKERS_MAX = 1_000;

/** After a fault of the relay's own nothing is sent for so long; doubled with each in a row. */
export const RELAY_BACKOFF_MS = 1_000;
export const RELAY_BACKOFF_MAX_MS = 30_000;

/** How long the alarm handler goes on before it sets its alarm again, and how long it waits for what is due soon. */
export const DELIVERY_RUN_MS = 30_000;
export const DELIVERY_LINGER_MS = 200;

/** A store looks at least once in so long at what there is to do, however late that is. */
export const ALARM_MAX_MS = 2_592_000_000;

/** After something unforeseen the engine begins anew. */
export const ENGINE_RETRY_MS = 1_000;

/** How often a store whose owner is paused looks whether it still is, should nobody tell. */
export const PAUSED_LOOK_MS = 300_000;

/** For how long what has ended is kept where its route doesn't say, in days. */
export const DELIVERED_DAYS = 7;
export const DEAD_DAYS = 30;

/** How often a store looks for what has been kept long enough, and how many deliveries go at once. */
export const RETENTION_LOOK_MS = 600_000;
export const RETENTION_BATCH = 200;

/** How often a store that delivers looks at what else it has to do. */
export const CHORES_EVERY_MS = 100;

/** How many events a sweep looks at in one go. */
export const SWEEP_WINDOW = 5_000;

/** How long a sweep waits at most until it goes on, however slow it is. */
export const SWEEP_WAIT_MAX_MS = 3_600_000;

/** Deliveries per second that a sweep does at most, in one store. */
export const SWEEP_RATE_MAX = 1_000;

/** How much of what was kept long enough goes at once, in bytes. */
export const RETENTION_BATCH_BYTES = 67_108_864;

/** Where at most so many deliveries are in a state, a list of them looks them up; where there are more, it goes through all. */
export const LIST_SORTED_MAX = 10_000;
