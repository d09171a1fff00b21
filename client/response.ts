import type { ResponseHead } from "../protocol/envelope.ts";
import { RelayError } from "../protocol/errors.ts";
import { type RelayInfo, setRelayInfo } from "./info.ts";

/** Fetch standard, "null body status". */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** The highest status that `new Response()` takes; RFC 9110 section 15 lets 999 be sent. */
const STATUS_MAX = 599;

/** What a native fetch knows of a response and a constructed one does not. */
interface Origin {
  readonly url: string;
  readonly redirected: boolean;
  /** Set where the status can't be constructed. */
  readonly status?: number;
  readonly info?: RelayInfo;
}

/** Whether an answer has no body, whatever its Content-Length says (RFC 9110 section 6.4.1). */
export function hasNoBody(method: string, status: number): boolean {
  return method === "HEAD" || NULL_BODY.has(status);
}

/**
 * The target's Content-Length, where it fixes how long the body must be.
 * @throws RelayError `answer_invalid` where the fields contradict each other
 */
export function bodyLength({ fields }: ResponseHead): number | undefined {
  let length: number | undefined;
  for (const [name, value] of fields) {
    if (name.length !== 14 || name.toLowerCase() !== "content-length") continue;
    for (const item of value.split(",")) {
      const digits = item.trim();
      const next = /^[0-9]{1,15}$/.test(digits) ? Number(digits) : undefined;
      if (next === undefined || (length !== undefined && length !== next)) {
        throw new RelayError("answer_invalid", "the target's Content-Length is no single length");
      }
      length = next;
    }
  }
  return length;
}

/**
 * The Response that a native fetch would have given.
 * @throws RelayError `answer_invalid`
 */
export function makeResponse(head: ResponseHead, body: ReadableStream | null, origin: Origin): Response {
  const { status, reason, fields } = head;
  let response: Response;
  try {
    const headers = new Headers();
    for (const [name, value] of fields) headers.append(name, value);
    response = new Response(body, { status: Math.min(status, STATUS_MAX), statusText: reason, headers });
  } catch (cause) {
    throw new RelayError("answer_invalid", "the target's status line or fields can't stand in a Response", {
      cause,
    });
  }
  return withOrigin(response, status > STATUS_MAX ? { ...origin, status } : origin);
}

/** Gives a response the properties that no constructor takes; its clones get them too. */
export function withOrigin(response: Response, origin: Origin): Response {
  const { url, redirected, status, info } = origin;
  const define = (name: string, value: unknown) =>
    Object.defineProperty(response, name, { value, configurable: true });
  define("url", url);
  define("redirected", redirected);
  // Built as 599, so that `ok` is false and `new Response(body, response)` throws and does not turn it into a success.
  if (status !== undefined) define("status", status);
  define("clone", () => withOrigin(Response.prototype.clone.call(response), origin));
  if (info !== undefined) setRelayInfo(response, info);
  return response;
}
