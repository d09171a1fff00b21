import { RelayError } from "../protocol/errors.ts";
import type { Body } from "./body.ts";
import type { Hop } from "./redirect.ts";
import type { Asked } from "./request.ts";
import { withOrigin } from "./response.ts";
import { attachBody, type Fetch } from "./wire.ts";

/** One hop past the relay. */
export interface DirectHop {
  readonly hop: Hop;
  /** Undefined at a first hop that takes its arguments as they are. */
  readonly body: Body | undefined;
  /** How many hops went before. */
  readonly hops: number;
  readonly asked: Asked;
}

/**
 * Makes one hop by the fetch underneath, with whatever else the caller asked of it. Redirects come back here, so that
 * none slips past the relay or into it.
 *
 * @throws RelayError `redirect_failed` where the runtime hides redirects, as browsers do
 */
export async function sendDirect(
  { hop, body, hops, asked }: DirectHop,
  underlying: Fetch,
): Promise<Response> {
  const sent: RequestInit = { ...asked.init, redirect: "manual" };
  if (hops > 0) {
    sent.method = hop.method;
    sent.headers = hop.fields.map(([name, value]) => [name, value]);
    delete sent.body;
    if (body?.type !== undefined && !hop.fields.some(([name]) => name.toLowerCase() === "content-type")) {
      sent.headers.push(["content-type", body.type]);
    }
  }
  const attached = body === undefined ? undefined : attachBody(sent, body, asked.signal);
  let response: Response;
  try {
    response = await underlying(hops === 0 ? asked.input : hop.url.href, sent);
  } catch (error) {
    attached?.abandon(error);
    throw attached?.failure() ?? error;
  }
  if (response.type === "opaqueredirect") {
    throw new RelayError(
      "redirect_failed",
      "this runtime hides where a redirect leads: set redirect to manual or error",
    );
  }
  return hops === 0 ? response : withOrigin(response, { url: response.url, redirected: true });
}
