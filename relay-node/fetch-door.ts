import { requestFieldsFromWire, type ResponseHead } from "../protocol/envelope.ts";
import { type RelayError } from "../protocol/errors.ts";
import { type GrantClaims, verifyGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseTargetUrl } from "../protocol/targets.ts";
import { writeAnswerHead, writeFailure } from "./answer.ts";
import { beginBody } from "./begin.ts";
import type { Dialed } from "./dialer.ts";
import { isRepeatable } from "./exchange.ts";
import { dropRest } from "./late-upload.ts";
import { hasBody } from "./request-body.ts";
import type { Entrance, RequestForm, RequestParts, RequestPlan } from "./request-form.ts";

/**
 *   edge ──POST /fetch, grant, envelope, body──▶ judge ▶ consume id ▶ connection ▶ target
 *   edge ◀──marks, envelope, body────────────────────────────────────◀ exchange ◀─┘
 *
 * One instance serves one request. Nothing is dialled before the grant, the fields, the framing and (of a small signed
 * body) the digest have been judged and the request's id is consumed.
 */
export class FetchDoor implements RequestForm {
  readonly #parts: RequestParts;
  #claims: GrantClaims | undefined;

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  async begin(entrance: Entrance): Promise<RequestPlan> {
    const { node, request, outcome } = this.#parts;
    const { config, grantKeys } = node;
    const claims = verifyGrant(request.headers[WIRE.authorization] as string | undefined, {
      edge: config.edge,
      nodeId: config.id,
      keys: grantKeys,
      now: node.now(),
    });
    this.#claims = claims;
    outcome.claims = claims;
    // A body without a tail passes through the edge, which keeps nothing of it.
    node.assertServing(claims.tail !== undefined || !hasBody(request));
    const slot = entrance.enter(claims);
    const target = parseTargetUrl(claims.url);
    const fields = requestFieldsFromWire((name) => request.headers[name] as string | undefined);
    const { body, isRead } = await beginBody(node, request, claims, slot);
    const { htm: method, framing } = claims;
    const { path, authority } = target;
    return {
      clientId: claims.sub,
      target,
      tls: claims.tls,
      request: { method, path, authority, fields, framing, body },
      isRead,
      repeatable: isRepeatable(method, body !== null),
    };
  }

  head(head: ResponseHead, dialed: Dialed): void {
    const { request, response, outcome } = this.#parts;
    const headOnly = request.headers[WIRE.envelope] !== "1";
    const receipt = this.#receipt(head, dialed);
    const marks = receipt === undefined ? outcome.marks : { ...outcome.marks, receipt };
    writeAnswerHead(response, head, this.#claims!.htm, marks, headOnly);
  }

  fail(error: RelayError): void {
    const { request, response, outcome } = this.#parts;
    writeFailure(response, error, outcome.marks);
    if (request.complete) return;
    // What is left of a stranger's upload is not worth reading. The edge is to see the answer, so that it asks another node.
    if (this.#claims === undefined) response.once("finish", () => request.destroy());
    else dropRest(request);
  }

  cut(): void {
    this.#parts.response.destroy();
  }

  #receipt(head: ResponseHead, dialed: Dialed): string | undefined {
    const grant = this.#claims!;
    if (grant.receipt !== true) return undefined;
    const { node, outcome } = this.#parts;
    const { egress, bytesUp } = outcome;
    return node.receipts.sign({ grant, dialed, egress: egress!, head, bytesUp, now: node.now() });
  }
}
