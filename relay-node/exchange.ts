import {
  type ErrorCode,
  isRelayError,
  RelayError,
  type RelayErrorOptions,
  withReached,
} from "../protocol/errors.ts";
import { connectionNames, type Field, isStoppedResponseField } from "../protocol/headers.ts";
import type { ResponseHead } from "../protocol/envelope.ts";
import type { ExchangeHandler } from "./connections.ts";
import type { AnswerHead } from "./http1/answer-head.ts";
import type { ExchangeControl } from "./http1/connection.ts";
import { answerFields } from "./http2-answer.ts";
import { ANSWER_HEAD_MS, BODY_IDLE_MS, UPLOAD_IDLE_MS } from "./limits.ts";
import { isSafe } from "../protocol/methods.ts";
import type { RequestBody } from "./request-body.ts";

/** Where an answer goes. `write` tells whether more may come at once, as a stream's does. */
export interface AnswerSink {
  head(head: ResponseHead): void;
  write(chunk: Buffer): boolean;
  /** Whether more waits for the answer's reader, and not for the relay itself. */
  isUnread(): boolean;
  end(): void;
  /** The answer failed before its head: the error is the answer. After its head: what was begun must break. */
  fail(error: RelayError): void;
}

/**
 * One request and its answer on one connection, of HTTP/1.1 or of undici's HTTP/2, with a deadline for the answer's head that
 * begins when the request has been sent, and one for an upload that stands still.
 */
export class Exchange implements ExchangeHandler {
  /** Bytes of the answer's body. */
  bytes = 0;
  /** The answer's head has come. */
  begun = false;
  status = 0;
  readonly #sink: AnswerSink;
  #timer: NodeJS.Timeout;
  readonly #upload: RequestBody | undefined;
  #uploading: boolean;
  #controller: ExchangeControl | undefined;
  #failure: RelayError | undefined;
  #done = false;

  /** @param upload the body that is being sent, where it is a stream */
  constructor(sink: AnswerSink, upload: RequestBody | undefined) {
    this.#sink = sink;
    this.#upload = upload;
    this.#uploading = upload !== undefined;
    this.#timer = setTimeout(() => this.#expire(), this.#uploading ? UPLOAD_IDLE_MS : ANSWER_HEAD_MS);
    upload?.on("data", () => this.#timer.refresh()).on("goOn", () => this.#timer.refresh());
  }

  /** The caller went away, or the node shuts down: the target's connection is cut at once. */
  abort(error: RelayError): void {
    if (this.#done) return;
    this.#failure ??= error;
    if (this.#controller === undefined) this.#finish(error);
    else this.#controller.abort(error);
  }

  /** Whether it was begun to be sent: before that, the target has seen nothing. */
  get sent(): boolean {
    return this.#controller !== undefined;
  }

  /** There is room again. */
  resume(): void {
    if (this.begun) clearTimeout(this.#timer);
    this.#controller?.resume();
  }

  onRequestStart(controller: ExchangeControl): void {
    // undici sends what an HTTP/2 target refused a second time. Whether that is safe is not its to decide.
    if (this.#controller !== undefined) {
      this.#failure ??= new RelayError("target_closed", "the target refused the request's stream");
    }
    this.#controller = controller;
    if (this.#failure !== undefined) controller.abort(this.#failure);
  }

  /** The last byte of the request was written. */
  onRequestSent(): void {
    if (this.begun || this.#done) return;
    if (!this.#uploading) {
      this.#timer.refresh();
      return;
    }
    this.#uploading = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#expire(), ANSWER_HEAD_MS);
  }

  /** HTTP/1.1's. */
  onAnswer({ status, reason, fields }: AnswerHead): void {
    this.#begin(status, reason, fields);
  }

  /** HTTP/2's. */
  onResponseStart(controller: ExchangeControl & { readonly rawHeaders?: unknown }, status: number): void {
    // Interim answers (RFC 9110 section 15.2) end here: fetch has no way to show them.
    if (status < 200) return;
    const raw = answerFields(controller.rawHeaders);
    if (
      raw.some(
        ([name, value]) =>
          name.toLowerCase() === "transfer-encoding" && !/^(chunked|identity)$/i.test(value.trim()),
      )
    ) {
      // RFC 9112 section 7.4: no TE was sent that allows it, and the field that tells of it ends here.
      this.abort(
        new RelayError("target_protocol", "the target's answer has a transfer coding besides chunked"),
      );
      return;
    }
    this.#begin(status, "", raw);
  }

  #begin(status: number, reason: string, raw: readonly Field[]): void {
    clearTimeout(this.#timer);
    this.begun = true;
    this.status = status;
    const named = connectionNames(raw);
    const fields = raw.filter(([name]) => !isStoppedResponseField(name.toLowerCase(), named));
    this.#sink.head({ status, reason, fields });
  }

  onResponseData(controller: ExchangeControl, chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.#sink.write(chunk)) return;
    controller.pause();
    // The connection's own deadline rests while it is paused.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // An answer that the client's limit holds back is nobody's fault.
      if (!this.#sink.isUnread()) this.#timer.refresh();
      else {
        this.abort(new RelayError("answer_cut", `the caller read nothing for ${BODY_IDLE_MS / 1_000} s`));
      }
    }, BODY_IDLE_MS);
  }

  onResponseEnd(): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#sink.end();
  }

  onResponseError(_controller: unknown, error: Error): void {
    const failure = this.#failure ?? exchangeFailure(error);
    // undici takes back what an HTTP/2 target says in a GOAWAY to have left alone, and then finds no connection to send it on.
    // It was sent all the same, and that the target did nothing with it is the target's word alone.
    this.#finish(
      this.sent && failure.code === "connect_failed"
        ? new RelayError("target_closed", "the target gave the connection up before it answered", {
            cause: failure,
          })
        : failure,
    );
  }

  #finish(error: RelayError): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    // What was not begun to be sent has reached nobody, whatever it failed by.
    this.#sink.fail(this.sent ? error : withReached(error, "no"));
  }

  #expire(): void {
    if (this.#uploading && this.#upload?.rests === true) {
      this.#timer.refresh();
      return;
    }
    this.abort(
      this.#uploading
        ? new RelayError("body_cut", `no byte of the body came for ${UPLOAD_IDLE_MS / 1_000} s`)
        : new RelayError(
            "target_timeout",
            `no answer within ${ANSWER_HEAD_MS / 1_000} s of sending the request`,
          ),
    );
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  UND_ERR_SOCKET: "target_closed",
  UND_ERR_HEADERS_OVERFLOW: "target_fields_too_large",
  UND_ERR_HEADERS_TIMEOUT: "target_timeout",
  UND_ERR_BODY_TIMEOUT: "target_timeout",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "target_protocol",
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: "body_cut",
  ECONNRESET: "target_closed",
  ECONNABORTED: "target_closed",
  EPIPE: "target_closed",
  ETIMEDOUT: "target_closed",
};

/** What undici says of a failure, in the relay's words. */
export function exchangeFailure(error: Error & { code?: string }): RelayError {
  if (isRelayError(error)) return error;
  const options: RelayErrorOptions = { cause: error };
  const code = error.code ?? "";
  if (code === "UND_ERR_SOCKET" && /^bad (response|upgrade)/.test(error.message)) {
    return new RelayError("target_protocol", `the target sent ${error.message}`, options);
  }
  if (error.name === "HTTPParserError") {
    return new RelayError(
      "target_protocol",
      `the target's answer is not HTTP (${code || error.message})`,
      options,
    );
  }
  if (code.startsWith("ERR_HTTP2")) {
    return new RelayError("target_closed", `the target ended the HTTP/2 stream (${code})`, options);
  }
  return new RelayError(
    CODES[code] ?? "target_closed",
    `the connection failed (${code || error.name})`,
    options,
  );
}

/**
 * Whether a request may be sent again on another connection: by its method, and because it has no body to replay. PUT and
 * DELETE are idempotent, but a second one may be answered otherwise than the first, so a node does not repeat them of its
 * own accord.
 */
export function isRepeatable(method: string, hasBody: boolean): boolean {
  return isSafe(method) && !hasBody;
}

/** Whether an answer to this has no body whatever its fields say (RFC 9110 section 6.4.1). */
export function isBodiless(method: string, status: number): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}
