import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { RelayError } from "../../protocol/errors.ts";
import { type AnswerMarks, writeFailure, writeRawFailure } from "../answer.ts";
import { LAST_ANSWER_MS } from "../limits.ts";
import { hasBody } from "../request-body.ts";

/** What whoever has shown no good credentials is asked for. */
const CHALLENGES = [
  "Proxy-Authenticate",
  'Basic realm="holdfast", charset="UTF-8"',
  "Proxy-Authenticate",
  'Bearer realm="holdfast"',
];

/**
 * How this door tells a failure: a 401 would be taken for the target's own word. Many clients show the reason phrase and nothing
 * else, so it names the code.
 */
function telling({ status }: RelayError) {
  const isUnknown = status === 401 || status === 407;
  return {
    more: isUnknown ? CHALLENGES : [],
    told: { status: isUnknown ? 407 : status, namesCode: true },
  } as const;
}

/** Answers a request with a failure of the relay's own. */
export function writeProxyFailure(response: ServerResponse, error: RelayError, marks: AnswerMarks): void {
  const { more, told } = telling(error);
  writeFailure(response, error, marks, more, told);
}

/** The same on a socket that HTTP's server has let go of. It is closed behind the answer, in a way that lets it arrive. */
export function writeRawProxyFailure(socket: Duplex, error: RelayError, marks: AnswerMarks): void {
  const { more, told } = telling(error);
  if (socket.writable) writeRawFailure(socket, error, marks, more, told);
  else socket.on("error", () => {}).destroy();
}

/** Answers a request that nobody can trust, and closes its connection. */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  error: RelayError,
  marks: AnswerMarks,
): void {
  const { socket } = request;
  if (request.complete || !hasBody(request)) response.shouldKeepAlive = false;
  else {
    // What is left of the body is read and dropped for a while: closing on it could cut the answer.
    response.once("finish", () => {
      request.resume();
      socket.end();
      const timer = setTimeout(() => socket.destroy(), LAST_ANSWER_MS);
      socket.once("close", () => clearTimeout(timer));
    });
  }
  writeProxyFailure(response, error, marks);
}
