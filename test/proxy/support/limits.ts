/** Every size, time and number of the proxy door's tests. Units stand in the names. */

/** One body, each way. */
export const BODY_BYTES = 104_857_600;

/** What is bulk has come through by then. */
export const BULK_SECONDS = 100;

/** Tunnels of one client that are open at once. */
export const TUNNELS = 100;

/** A revoked handle opens nothing any more by then. */
export const REVOKED_MS = 30_000;

/** Between two looks. */
export const POLL_MS = 500;

/** How long strangers do their worst, each kind of them. */
export const FUZZ_MS = 10_000;

/** Sockets that strangers hold open, over all addresses and all three ports. */
export const HALF_OPEN = 10_000;

/** The others' requests are answered by then, whatever strangers do. */
export const SERVED_MS = 10_000;

/** By how much more memory a node may have, once strangers were there for the third and fourth time, than after the first two. */
export const GROWTH_BYTES = 33_554_432;

/** And what two thousand strangers at once may take of it, most of it for their TLS. */
export const PEAK_BYTES = 201_326_592;

/** A node's sockets and slots are back at their level by then. */
export const SETTLED_MS = 30_000;

/** A node that ends lets what it carries go on for so long. */
export const DRAIN_SECONDS = 20;

/** What a tunnel still carries meanwhile, and how fast: its end is on its way when the node begins to end. */
export const DRAIN_BYTES = 12_000_000;
export const DRAIN_BYTES_PER_SECOND = 3_000_000;

/** A node that was ended serves again by then. */
export const BACK_MS = 20_000;

/** Strangers of one kind that are connected at once. */
export const STRANGERS = 12;

/** Strangers that send one byte after the other, and the time between two of them. */
export const TRICKLING = 150;
export const TRICKLE_MS = 100;

/** Whoever trickles is thrown out by then: the door's own deadline, and some. */
export const TRICKLED_MS = 20_000;

/** Lines of the node's own that its log may have besides those of a client's. */
export const OWN_LINES = 20;
