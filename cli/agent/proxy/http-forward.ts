import { type IncomingMessage, request as openRequest, type ServerResponse } from "node:http";
import { isRelayError, RelayError } from "../../../protocol/errors.ts";
import { connectionNames, type Field, isStoppedResponseField } from "../../../protocol/headers.ts";
import type { TargetUrl } from "../../../protocol/targets.ts";
import { PROXY_HEAD_MAX_BYTES } from "../limits.ts";
import type { Opener } from "../../../client/node/opener.ts";
import { failureAnswer, type ProxyAnswer } from "./failure.ts";
import { reset } from "../../../client/node/reset.ts";
import { asRelayError } from "../relay-errors.ts";

const NOTHING = Buffer.alloc(0);

/** One plain request that goes on to its target. */
export interface Forwarding {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: TargetUrl;
  readonly fields: readonly Field[];
  readonly open: Opener;
}

/**
 * Sends a request on over a connection of its own, and its answer back. A connection that is used once can't be closed under
 * a request that must not be repeated.
 */
export async function forward({ request, response, url, fields, open }: Forwarding): Promise<void> {
  const gone = new AbortController();
  const onClose = () => gone.abort();
  response.once("close", onClose);
  let connection;
  try {
    connection = await open({ host: url.host, port: url.port, signal: gone.signal });
  } catch (error) {
    return answerWith(response, failureAnswer(asRelayError(error)));
  }
  response.off("close", onClose);
  // The exchange tells of its failures; the connection may have one after it.
  connection.on("error", () => {});
  if (response.closed) {
    connection.destroy(new Error("the program is gone"));
    return;
  }
  const outgoing = openRequest({
    createConnection: () => connection,
    method: request.method ?? "GET",
    path: url.path,
    headers: [...fields, ["Connection", "close"], ...framing(request)].flat(),
    setHost: false,
    maxHeaderSize: PROXY_HEAD_MAX_BYTES,
  });
  let hasFailed = false;
  const fail = (error: unknown) => {
    // A connection that is cut for one failure tells of another one.
    if (hasFailed) return;
    hasFailed = true;
    reset(connection);
    if (response.headersSent) cut(response);
    else answerWith(response, failureAnswer(exchangeFailure(error)));
  };
  outgoing.on("error", fail);
  outgoing.once("upgrade", () => fail(new RelayError("target_protocol", "it switched protocols unasked")));
  outgoing.once("response", (incoming) => {
    passBack(incoming, response);
    incoming.on("error", fail);
  });
  response.once("close", () => {
    if (!response.writableFinished) fail(new Error("the program is gone"));
  });
  request.on("error", fail);
  if (request.headers.expect?.toLowerCase() === "100-continue") response.writeContinue();
  request.pipe(outgoing);
}

function exchangeFailure(error: unknown): RelayError {
  if (isRelayError(error)) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new RelayError(code.startsWith("HPE_") ? "target_protocol" : "target_closed", message, {
    cause: error,
  });
}

/** Tells a failure where nothing has been told yet. */
export function answerWith(response: ServerResponse, { status, reason, headers, body }: ProxyAnswer): void {
  if (response.headersSent) return cut(response);
  response.sendDate = false;
  response.writeHead(status, reason, headers.flat()).end(body);
}

/** Node adds a coding to a body of unknown length unless it is told that there is none. */
function framing({ headers, method }: IncomingMessage): readonly Field[] {
  const length = headers["content-length"];
  if (length !== undefined) return [["Content-Length", length]];
  if (headers["transfer-encoding"] !== undefined) return [["Transfer-Encoding", "chunked"]];
  return /^(GET|HEAD|OPTIONS|DELETE|TRACE)$/.test(method ?? "") ? [] : [["Content-Length", "0"]];
}

function passBack(incoming: IncomingMessage, response: ServerResponse): void {
  const fields = pairs(incoming.rawHeaders);
  const named = connectionNames(fields);
  const kept = fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return lower.startsWith("relay-") ? !named.has(lower) : !isStoppedResponseField(lower, named);
  });
  response.sendDate = false;
  try {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? "", kept.flat());
  } catch (error) {
    incoming.destroy();
    const why = `its answer can't be passed on: ${(error as Error).message}`;
    return answerWith(response, failureAnswer(new RelayError("target_protocol", why)));
  }
  // The head goes before the body's first byte: some answers are heads for a long time. `flushHeaders` would write it as UTF-8.
  response.write(NOTHING);
  incoming.pipe(response);
}

/** A body that was cut is not to arrive as a whole one. */
function cut(response: ServerResponse): void {
  if (!response.writableFinished && response.socket !== null) reset(response.socket);
}

/** Node's flat list of names and values as pairs. */
function pairs(raw: readonly string[]): Field[] {
  return Array.from({ length: raw.length / 2 }, (_, index): Field => [raw[2 * index]!, raw[2 * index + 1]!]);
}
