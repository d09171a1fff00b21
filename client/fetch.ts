import { RelayError } from "../protocol/errors.ts";
import { abortable } from "../protocol/abort.ts";
import { type Body, bodyKind, noBody } from "./body.ts";
import { sendDirect } from "./direct.ts";
import { type Hop, isRedirect, nextHop } from "./redirect.ts";
import { sendRelayed } from "./relayed.ts";
import { type Asked, readRequest } from "./request.ts";
import { drain } from "./stream.ts";
import type { Fetch, Settings } from "./wire.ts";

/** Makes the drop-in `fetch`. */
export function makeFetch(settings: Settings): Fetch {
  return async (input, init) => {
    const asked = readRequest(input, init);
    // A `data:` or `blob:` URL names no host; without `hosts` the relay is asked for everything and refuses it.
    const isHttp = asked.url.protocol === "https:" || asked.url.protocol === "http:";
    if (settings.relayed !== undefined && !isHttp) return settings.underlying()(input, init);
    asked.signal?.throwIfAborted();
    return follow(asked, settings);
  };
}

/** Makes a call hop by hop: each is signed anew, and for each is decided anew whether it goes by the relay. */
async function follow(asked: Asked, settings: Settings): Promise<Response> {
  let hop: Hop = asked;
  let body: Body | undefined;
  for (let hops = 0; ; hops++) {
    const isDirect = settings.relayed?.(hop.url.hostname) === false;
    if (isDirect && asked.redirect !== "follow") return settings.underlying()(asked.input, asked.init);
    // A first direct hop takes its arguments as they are, but for a Request's body, which may be needed again.
    if (!isDirect || hops > 0 || asked.bodySource === "request") {
      body ??= await abortable(asked.readBody(), asked.signal);
    }
    const response = isDirect
      ? await sendDirect({ hop, body, hops, asked }, settings.underlying())
      : await sendRelayed({ hop, body: body!, hops, signal: asked.signal }, settings).catch(
          (error: unknown) => {
            throw afterHops(error, hops);
          },
        );
    if (asked.redirect === "manual" || !isRedirect(response.status)) return response;
    if (asked.redirect === "error") {
      discard(response);
      throw new TypeError("fetch failed", { cause: new Error("unexpected redirect") });
    }
    const answer = { status: response.status, location: response.headers.get("location") };
    const verdict = nextHop(hop, answer, hops, body === undefined ? unreadKind(asked) : bodyKind(body));
    if (verdict.kind === "final") return response;
    discard(response);
    if (verdict.kind === "fail") throw new RelayError("redirect_failed", verdict.why);
    hop = verdict.hop;
    if (!verdict.keepsBody) body = noBody(hop.method);
  }
}

function unreadKind({ bodySource }: Asked): "none" | "replayable" | "stream" {
  return bodySource === "request" ? "replayable" : bodySource;
}

/** An earlier hop's target has seen the request, whatever this one's failure says of its own. */
function afterHops(error: unknown, hops: number): unknown {
  if (hops === 0 || !(error instanceof RelayError) || error.reached !== "no") return error;
  const { code, detail, node, requestId, retryAfter, timing } = error;
  return new RelayError(code, `${detail} (after ${hops} redirects)`, {
    cause: error,
    reached: "yes",
    ...(node !== undefined && { node }),
    ...(requestId !== undefined && { requestId }),
    ...(retryAfter !== undefined && { retryAfter }),
    ...(timing !== undefined && { timing }),
  });
}

function discard({ body }: Response): void {
  if (body !== null) void drain(body.getReader());
}
