/** Which fields travel end to end, and what a field may look like. One list for every door. */

/** One header field: name and value, each a string whose characters are the bytes on the wire (Latin-1). */
export type Field = readonly [name: string, value: string];

/** Fields by which the relay's parts speak to each other. They never reach a target. */
export const WIRE = {
  /** Client to edge: `Bearer <request token>`. Edge to node: `Bearer <grant>`. */
  authorization: "relay-authorization",
  /** With a platform's own token in place of a request token: the client's id. */
  client: "relay-client",
  /** Version of the envelope, `1`; with `; head-only` a response's fields never go in front of its body. */
  envelope: "relay-envelope",
  /** `relay-fields-1`, `-2` …: the pieces of an encoded field section. */
  fields: "relay-fields-",
  /** Raw callers may repeat the target URL here; it must equal the token's. With a platform's own token it is the target. */
  target: "relay-target",
  /** `target` on a target's answer. */
  status: "relay-status",
  /** The code of a failure of the relay's own. */
  error: "relay-error",
  /** On a failure: whether the target can have seen any of the request. */
  reached: "relay-reached",
  /** The node that made the call. */
  node: "relay-node",
  /** The address the target saw. */
  egress: "relay-egress",
  /** Milliseconds by stage, in the syntax of Server-Timing. */
  timing: "relay-timing",
  /** Where the token asks for one: the node's signed word on where the request left from. */
  receipt: "relay-receipt",
  /** Over a soft limit of the client's quota: how its month stands. */
  quota: "relay-quota",
  /** The request's id: the token's jti. */
  requestId: "relay-request-id",
} as const;

/** RFC 9110 section 5.6.2: token. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** RFC 9110 section 5.5: field-value without CR, LF, NUL and the other controls; obs-text (0x80 to 0xFF) is allowed. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A field name as RFC 9110 section 5.1 has it. */
export function isFieldName(name: string): boolean {
  return NAME.test(name);
}

/** A method as RFC 9110 section 9.1 has it: the same token grammar. */
export const isMethod = isFieldName;

/** Latin-1 without controls, wherever white space stands. */
export function isFieldText(value: string): boolean {
  return VALUE.test(value);
}

/** A field value that is safe to write: Latin-1 without controls, and no white space at its ends. */
export function isFieldValue(value: string): boolean {
  if (!isFieldText(value)) return false;
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return first !== 0x20 && first !== 0x09 && last !== 0x20 && last !== 0x09;
}

/**
 * RFC 9110 section 7.6.1 and RFC 9112: fields of one connection or of message framing, and Host, which comes from the
 * authorised URL alone. None is an end-to-end field.
 */
const HOP_BY_HOP = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * What is wrong with sending this field end to end in a request, or undefined.
 *
 * `Proxy-*` fields are between a client and its proxy; `Relay-*` are this relay's own.
 */
export function isForbiddenRequestField(lowerName: string): boolean {
  return HOP_BY_HOP.has(lowerName) || lowerName.startsWith("proxy-") || lowerName.startsWith("relay-");
}

/**
 * Fields of a target's answer that stop here: those of its connection (also the ones its Connection field names) and
 * `Relay-*`, which only the relay may say. Content-Length and Proxy-Status stay: they tell the client about the target.
 */
const RESPONSE_STOPS = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Whether a response field ends at the relay; `named` holds the lower-case names from the Connection field. */
export function isStoppedResponseField(lowerName: string, named: ReadonlySet<string>): boolean {
  return RESPONSE_STOPS.has(lowerName) || lowerName.startsWith("relay-") || named.has(lowerName);
}

const NONE: ReadonlySet<string> = new Set();

/** The lower-case field names that a message's Connection fields list (RFC 9110 section 7.6.1). */
export function connectionNames(fields: readonly Field[]): ReadonlySet<string> {
  let names: Set<string> | undefined;
  for (const [name, value] of fields) {
    if (name.length !== 10 || name.toLowerCase() !== "connection") continue;
    for (const item of value.split(",")) (names ??= new Set()).add(item.trim().toLowerCase());
  }
  // Content-Length is end-to-end information here whatever a target claims.
  names?.delete("content-length");
  return names ?? NONE;
}

/**
 * Fields that the runtime or CDN in front of the edge adds to a raw request. A raw caller cannot send these to a target
 * through the relay; the enveloped form can.
 */
const ADDED_IN_FRONT = new Set([
  "cdn-loop",
  "forwarded",
  "via",
  "true-client-ip",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
]);

/** Whether a raw request's field is the edge's surroundings' own and not the caller's. */
export function isAddedInFront(lowerName: string): boolean {
  return ADDED_IN_FRONT.has(lowerName) || lowerName.startsWith("cf-");
}
