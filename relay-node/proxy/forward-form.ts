import type { IncomingMessage } from "node:http";
import { checkRequestFields, type ResponseHead } from "../../protocol/envelope.ts";
import { RelayError } from "../../protocol/errors.ts";
import type { Framing } from "../../protocol/claims.ts";
import { type Field, WIRE } from "../../protocol/headers.ts";
import { isWithin, type ProxyGrantClaims } from "../../protocol/proxy-grants.ts";
import {
  checkHost,
  forwardTarget,
  type ProxyRequest,
  readProxyRequest,
} from "../../protocol/proxy-requests.ts";
import type { TargetUrl } from "../../protocol/targets.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { markFields } from "../answer.ts";
import { isRepeatable } from "../exchange.ts";
import { LAST_ANSWER_MS, LATE_UPLOAD_MS } from "../limits.ts";
import { RequestBody } from "../request-body.ts";
import type { Entrance, RequestForm, RequestParts, RequestPlan } from "../request-form.ts";
import { reset } from "../reset.ts";
import type { ProxyContext } from "./proxy-context.ts";
import { refuseRequest, writeProxyFailure } from "./proxy-failure.ts";
import { proxyUser } from "./proxy-user.ts";

const NOTHING = Buffer.alloc(0);

/**
 * A request in the absolute form (RFC 9112 section 3.2.2): head and body as they came, without what is between the user and
 * its proxy, and the answer likewise.
 */
export class ForwardForm implements RequestForm {
  readonly #context: ProxyContext;
  readonly #parts: RequestParts;
  readonly #asked: ForwardRequest;
  readonly #onKnown: (grant: ProxyGrantClaims) => void;
  /** The user holds its body back. */
  #isWaiting: boolean;

  /** @param onKnown called once the user's credentials were found good, with what they are good for */
  constructor(
    context: ProxyContext,
    parts: RequestParts,
    asked: ForwardRequest,
    onKnown: (grant: ProxyGrantClaims) => void,
  ) {
    this.#context = context;
    this.#parts = parts;
    this.#asked = asked;
    this.#onKnown = onKnown;
    this.#isWaiting = expectsContinue(parts.request);
  }

  async begin(entrance: Entrance): Promise<RequestPlan> {
    const { node, request, outcome } = this.#parts;
    const { asked, url } = this.#asked;
    const { method } = asked;
    // The answer to it would show the request's fields to whoever reads it.
    if (method === "TRACE") throw new RelayError("method_not_allowed", "TRACE is not relayed");
    const fields = this.#asked.fields.filter(([name]) => !/^(host$|relay-)/i.test(name));
    checkRequestFields(fields);
    const user = proxyUser(asked, request.socket.remoteAddress);
    node.assertServing(true);
    const { grant, rules } = await this.#context.authorizer.authorize(user, url.origin, entrance.signal);
    this.#onKnown(grant);
    const { sub, limits } = grant;
    outcome.claims = { jti: newRequestId(), sub, htm: method, url: url.origin, ...(limits && { limits }) };
    if (!isWithin(rules, method, url)) {
      throw new RelayError("target_not_allowed", `${sub} may not send this method and path to ${url.origin}`);
    }
    // What was asked for may have taken its time.
    node.assertServing(true);
    const slot = entrance.enter(grant);
    const framing = framingOf(request.headers);
    const body = framing === "none" || framing === 0 ? null : new RequestBody(request, framing, undefined);
    if (body !== null) {
      const charge = (bytes: number) => slot.spend(bytes);
      const onWanted = () => this.#askForBody();
      body.charge = charge;
      body.onWanted = onWanted;
    }
    return {
      clientId: sub,
      target: url,
      request: { method, path: url.path, authority: url.authority, fields: fields.flat(), framing, body },
      isRead: false,
      repeatable: isRepeatable(method, body !== null),
    };
  }

  head({ status, reason, fields }: ResponseHead): void {
    const { node, response, outcome } = this.#parts;
    // Of the fields the parser has judged this. Node would throw in the middle.
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(reason)) {
      throw new RelayError("target_protocol", "the reason phrase has characters that it may not hold");
    }
    response.sendDate = false;
    if (node.draining) response.shouldKeepAlive = false;
    response.writeHead(status, reason, [
      ...fields.flat(),
      WIRE.status,
      "target",
      ...markFields(outcome.marks),
    ]);
    // An event must not wait for the first byte of a body, nor a head for its first event. `flushHeaders` would write the
    // head as UTF-8.
    response.write(NOTHING);
  }

  fail(error: RelayError): void {
    const { node, request, response, outcome } = this.#parts;
    response.sendDate = false;
    if (node.draining) response.shouldKeepAlive = false;
    if (request.complete || this.#isWaiting) writeProxyFailure(response, error, outcome.marks);
    else {
      const ms = outcome.claims === undefined ? LAST_ANSWER_MS : LATE_UPLOAD_MS;
      refuseRequest(request, response, error, outcome.marks, ms);
    }
  }

  cut(): void {
    const { request, response } = this.#parts;
    // To whoever knows no chunks the connection's end may be the body's.
    if (request.httpVersion === "1.0" && response.socket !== null) reset(response.socket);
    else response.destroy();
  }

  #askForBody(): void {
    const { response } = this.#parts;
    // What was sent behind the head unasked may have been answered already, as no HTTP.
    if (this.#isWaiting && !response.headersSent) response.writeContinue();
    this.#isWaiting = false;
  }
}

/** A request in the absolute form that can be read in one way alone. Nothing is known of its user. */
export interface ForwardRequest {
  readonly asked: ProxyRequest;
  readonly url: TargetUrl;
  /** Those that go to a target from the agent's proxy, Host first. */
  readonly fields: readonly Field[];
}

/** @throws RelayError `request_invalid`, `url_invalid` */
export function readForwardRequest(request: IncomingMessage): ForwardRequest {
  const asked = readProxyRequest(request);
  const { url, fields } = forwardTarget(asked);
  checkHost(asked, url);
  return { asked, url, fields };
}

/** Whether the user holds its body back until it is asked for it (RFC 9110 section 10.1.1), as Node reads it. */
function expectsContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === "1.1" && /(?:^|\W)100-continue(?:$|\W)/i.test(headers.expect ?? "");
}

/** How a body travels, of a request that is not ambiguous. */
function framingOf(headers: NodeJS.Dict<string | string[]>): Framing {
  if (headers["transfer-encoding"] !== undefined) return "chunked";
  return headers["content-length"] === undefined ? "none" : Number(headers["content-length"]);
}
