/** Every limit and time of usage. Units stand in the names. */

/** Running streams and bodies are booked this often: what a kill may lose of their bytes and seconds. */
export const USAGE_BOOK_MS = 1_000;

/** Between two reports to the edge, on average. */
export const USAGE_REPORT_MS = 10_000;

/** Each time between two reports lies within this part of it, so that the nodes' reports don't come at once. */
export const USAGE_REPORT_JITTER = 0.2;

/** A node that drains has this long for its last report. */
export const USAGE_LAST_REPORT_MS = 1_000;

/** The longest answer to a report: the ids of as many clients as one may name, of up to 63 characters each. */
export const USAGE_ANSWER_MAX_BYTES = 65_536;

/** A journal of this length is written anew, with one line for each client and month: some 60,000 requests' lines. */
export const USAGE_JOURNAL_BYTES = 4_194_304;
