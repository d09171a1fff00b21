import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import type { ReceiptClaims } from "../protocol/receipts.ts";
import { abortable } from "../protocol/abort.ts";
import { type Answer, openAnswer } from "./answer.ts";
import { type Body, bodyKind } from "./body.ts";
import { decodersFor } from "./decode.ts";
import { relayedFields } from "./fields.ts";
import { readInfo } from "./info.ts";
import { type Answered, checkReceipt } from "./receipts.ts";
import type { Hop } from "./redirect.ts";
import { bodyLength, hasNoBody, makeResponse } from "./response.ts";
import { drain, targetBody } from "./stream.ts";
import { attempted } from "./signer.ts";
import { type Call, type Exchange, send, type Settings } from "./wire.ts";

/** One hop through the relay. */
export interface RelayedHop {
  readonly hop: Hop;
  readonly body: Body;
  /** How many hops went before. */
  readonly hops: number;
  readonly signal: AbortSignal | undefined;
}

/** Makes one hop through the relay; the response is the target's, whatever its status. */
export async function sendRelayed(
  { hop, body, hops, signal }: RelayedHop,
  settings: Settings,
): Promise<Response> {
  const { decompress, receipts } = settings;
  const url = withoutFragment(hop.url);
  const fields = relayedFields(hop.fields, { type: body.type, decompress });
  if (receipts !== undefined) await abortable(receipts.keys.ready(), signal);
  const call = { method: hop.method, url, fields, body, signal };
  const { exchange, answer } = await replyTo(call, settings);
  const { requestId, explain, interest } = exchange;
  const { head, source } = answer;
  const receipt = await proven(exchange, head.status, hop, settings, signal).catch((error: unknown) => {
    interest.giveUp();
    source?.reader.cancel().catch(() => {});
    throw explain(() => error);
  });
  const info = readInfo(exchange.wire.headers, head.fields, receipt);
  const origin = { url, redirected: hops > 0, info };
  if (hasNoBody(hop.method, head.status)) {
    interest.over();
    if (source !== undefined) void drain(source.reader);
    return makeResponse(head, null, origin);
  }
  const cut = (why: string, cause?: unknown) =>
    explain(() => {
      const by = info.node === undefined ? {} : { node: info.node };
      return new RelayError("answer_cut", why, { cause, requestId, ...by });
    });
  try {
    const length = bodyLength(head);
    if (source === undefined) {
      interest.over();
      if (length !== undefined && length > 0) throw cut(`the body ended after 0 of ${length} bytes`);
      return makeResponse(head, null, origin);
    }
    const codings = head.fields
      .filter(([name]) => name.toLowerCase() === "content-encoding")
      .map(([, value]) => value);
    const formats = decompress ? decodersFor(codings.join(",")) : [];
    return makeResponse(head, targetBody(source, { length, formats, cut, interest }), origin);
  } catch (error) {
    interest.giveUp();
    source?.reader.cancel().catch(() => {});
    throw error;
  }
}

interface Reply {
  readonly exchange: Exchange;
  readonly answer: Answer;
}

/** Makes a call. It is made anew where the edge did not take its certificate, but for a stream of the caller's, which is read by then. */
function replyTo(call: Call, settings: Settings): Promise<Reply> {
  const once = async (sign: Settings["sign"]): Promise<Reply> => {
    const exchange = await send(call, { ...settings, sign }, settings.underlying());
    try {
      return { exchange, answer: await openAnswer(exchange) };
    } catch (error) {
      exchange.interest.over();
      throw error;
    }
  };
  return attempted(settings, once, bodyKind(call.body) !== "stream");
}

/** What the answer's receipt says, where one was asked for. */
async function proven(
  { wire, requestId }: Exchange,
  status: number,
  hop: Hop,
  { receipts }: Settings,
  signal: AbortSignal | undefined,
): Promise<ReceiptClaims | undefined> {
  if (receipts === undefined) return undefined;
  const answered: Answered = {
    receipt: wire.headers.get(WIRE.receipt),
    node: wire.headers.get(WIRE.node) ?? undefined,
    requestId,
    method: hop.method,
    url: hop.url.href,
    status,
  };
  return abortable(checkReceipt(answered, receipts), signal);
}

/** Fragments are never sent (RFC 9110 section 4.2.5), and a native response's `url` has none. */
function withoutFragment({ href }: URL): string {
  const hash = href.indexOf("#");
  return hash === -1 ? href : href.slice(0, hash);
}
