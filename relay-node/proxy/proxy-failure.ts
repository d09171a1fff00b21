import type { IncomingMessage, ServerResponse } from "node:http";
import { CONNECT_TCP_TOKENS } from "../../protocol/connect-tcp.ts";
import type { RelayError } from "../../protocol/errors.ts";
import { type AnswerMarks, failureAnswer, writeFailure, writeRawFailure } from "../answer.ts";
import { dropRest } from "../late-upload.ts";
import { LAST_ANSWER_MS } from "../limits.ts";
import { hasBody } from "../request-body.ts";
import type { Connection } from "../tcp/connection.ts";

/** What whoever has shown no good credentials is asked for. */
const CHALLENGES = [
  "Proxy-Authenticate",
  'Basic realm="holdfast", charset="UTF-8"',
  "Proxy-Authenticate",
  'Bearer realm="holdfast"',
];

/** What a path of the door's own is asked for by. */
const UPGRADES = ["Upgrade", CONNECT_TCP_TOKENS[0]!];

/**
 * How this door tells a failure: a 401 would be taken for the target's own word. Many clients show the reason phrase and nothing
 * else, so it names the code.
 */
function telling({ status }: RelayError) {
  const isUnknown = status === 401 || status === 407;
  return {
    more: isUnknown ? CHALLENGES : status === 426 ? UPGRADES : [],
    told: { status: isUnknown ? 407 : status, namesCode: true },
  } as const;
}

/** Answers a request with a failure of the relay's own. */
export function writeProxyFailure(response: ServerResponse, error: RelayError, marks: AnswerMarks): void {
  const { more, told } = telling(error);
  writeFailure(response, error, marks, more, told);
}

/** The same on a socket that HTTP's server has let go of. It is closed behind the answer, in a way that lets it arrive. */
export function writeRawProxyFailure(socket: Connection, error: RelayError, marks: AnswerMarks): void {
  const { more, told } = telling(error);
  if (socket.writable) writeRawFailure(socket, error, marks, more, told);
  else socket.on("error", () => {}).destroy();
}

/**
 * Answers a request whose connection has to go.
 * @param ms how long what is left of its body is read and dropped: closing on it could cut the answer
 */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  error: RelayError,
  marks: AnswerMarks,
  ms = LAST_ANSWER_MS,
): void {
  if (request.complete || !hasBody(request)) {
    response.shouldKeepAlive = false;
    writeProxyFailure(response, error, marks);
    return;
  }
  const { more, told } = telling(error);
  const { status, reason, fields, body } = failureAnswer(error, marks, told);
  // The answer is whole by its length; Node closes when it is told of the end.
  response.writeHead(status, reason, [...fields, ...more, "Connection", "close"]).write(body);
  request.once("end", () => response.end());
  dropRest(request, ms);
}
