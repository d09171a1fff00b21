import { RelayError } from "../protocol/errors.ts";
import { type Field, isMethod } from "../protocol/headers.ts";
import { type Body, readBody, readRequestBody, sourceOf } from "./body.ts";
import { callerFields } from "./fields.ts";

/** The arguments of a fetch call, as the Fetch standard's Request constructor reads them. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly fields: readonly Field[];
  readonly signal: AbortSignal | undefined;
  readonly redirect: "follow" | "manual" | "error";
  /** What the body comes from: nothing, what can be read again, a stream, or a Request object. */
  readonly bodySource: "none" | "replayable" | "stream" | "request";
  /** Reads the body; once. */
  readonly readBody: () => Promise<Body>;
  /** The arguments as they were given, for a hop past the relay. */
  readonly input: string | URL | Request;
  readonly init: RequestInit | undefined;
}

/** Fetch standard, "normalize a method": these and no others are folded to upper case. */
const FOLDED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

/** Fetch standard, "forbidden method". */
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);

/**
 * Takes a call's arguments apart without building a Request: workerd's constructor refuses methods that it does not know,
 * and no runtime's keeps the fields' order.
 *
 * @throws TypeError where a native fetch does; RelayError `fields_invalid`, `request_invalid`
 */
export function readRequest(input: string | URL | Request, given: RequestInit | undefined): Asked {
  const init = given ?? {};
  const request = isRequest(input) ? input : undefined;
  const url = new URL(isRequest(input) ? input.url : input);
  const method = normalizeMethod(init.method ?? request?.method ?? "GET");
  // `null` takes the Request's signal away, an absent member leaves it.
  const signal = (init.signal === undefined ? request?.signal : init.signal) ?? undefined;
  const redirect = init.redirect ?? request?.redirect ?? "follow";
  if (redirect !== "follow" && redirect !== "manual" && redirect !== "error") {
    throw new TypeError("redirect must be follow, manual or error");
  }
  if ((init.integrity ?? request?.integrity ?? "") !== "") {
    throw new RelayError(
      "request_invalid",
      "integrity is not checked here: leave it out, and check the body's digest yourself",
      {
        reached: "no",
      },
    );
  }
  const body = init.body ?? undefined;
  const inherited = body === undefined ? (request?.body ?? undefined) : undefined;
  if ((body !== undefined || inherited !== undefined) && (method === "GET" || method === "HEAD")) {
    throw new TypeError("a request with the method GET or HEAD cannot have a body");
  }
  if (inherited !== undefined && request?.bodyUsed === true) {
    throw new TypeError("the Request's body has been used already");
  }
  return {
    method,
    url,
    fields: callerFields(init.headers ?? request?.headers),
    signal,
    redirect,
    bodySource: inherited === undefined ? sourceOf(body) : "request",
    readBody: () => (inherited === undefined ? readBody(body, method) : readRequestBody(inherited, signal)),
    input,
    init: given,
  };
}

function normalizeMethod(method: string): string {
  const upper = method.toUpperCase();
  if (!isMethod(method)) throw new TypeError("the method is no HTTP token");
  if (FORBIDDEN.has(upper)) throw new TypeError(`the method ${upper} is unsupported`);
  return FOLDED.has(upper) ? upper : method;
}

/** By its tag and not by its class: polyfills and the npm package undici bring their own. */
function isRequest(input: unknown): input is Request {
  return Object.prototype.toString.call(input) === "[object Request]";
}
