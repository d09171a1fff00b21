import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Dispatcher } from "undici";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { RelayError } from "../../protocol/errors.ts";
import { type AnswerSink, Exchange } from "../../relay-node/exchange.ts";
import { BODY_IDLE_MS, UPLOAD_IDLE_MS } from "../../relay-node/limits.ts";
import { RequestBody } from "../../relay-node/request-body.ts";

/** What a client's limit holds back may stand still for longer than any deadline; what its own side holds back may not. */

let failure: RelayError | undefined;
let hasRoom: boolean;
let isUnread: boolean;
const sink: AnswerSink = {
  head: () => {},
  write: () => hasRoom,
  isUnread: () => isUnread,
  end: () => {},
  fail: (error) => (failure = error),
};
beforeEach(() => {
  vi.useFakeTimers();
  failure = undefined;
  [hasRoom, isUnread] = [true, false];
});
afterEach(() => void vi.useRealTimers());

describe("an answer", () => {
  function begin(): { exchange: Exchange; data: () => void } {
    const exchange = new Exchange(sink, undefined);
    const controller: Dispatcher.DispatchController = {
      aborted: false,
      paused: false,
      reason: null,
      rawHeaders: [],
      rawTrailers: [],
      pause: () => {},
      resume: () => {},
      abort: (reason) => exchange.onResponseError(undefined, reason),
    };
    exchange.onRequestStart(controller);
    exchange.onRequestSent();
    exchange.onResponseStart(controller, 200);
    return { exchange, data: () => exchange.onResponseData(controller, Buffer.from("x")) };
  }

  test("that its reader leaves lying is cut", () => {
    const { data } = begin();
    [hasRoom, isUnread] = [false, true];
    data();
    vi.advanceTimersByTime(BODY_IDLE_MS - 1);
    expect(failure).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect(failure?.code).toBe("answer_cut");
  });

  test("that the limit holds back is not, and leaves no timer when it goes on", () => {
    const { exchange, data } = begin();
    hasRoom = false;
    data();
    vi.advanceTimersByTime(10 * BODY_IDLE_MS);
    expect(failure).toBeUndefined();
    exchange.resume();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a request's body", () => {
  /** A body whose source brings what the test says. */
  function begin() {
    const source = Object.assign(new EventEmitter(), {
      isPaused: true,
      complete: false,
      readableEnded: false,
      destroyed: false,
      pause: () => void (source.isPaused = true),
      resume: () => void (source.isPaused = false),
    });
    const body = new RequestBody(source as unknown as IncomingMessage, "chunked", undefined);
    const exchange = new Exchange(sink, body);
    body.resume();
    return { source, body, exchange };
  }

  test("that its sender leaves off is cut", () => {
    const { source } = begin();
    source.emit("data", Buffer.from("x"));
    vi.advanceTimersByTime(UPLOAD_IDLE_MS - 1);
    expect(failure).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect(failure?.code).toBe("body_cut");
  });

  test("that the limit holds back is not; its sender then has the whole time again", () => {
    const { source, body } = begin();
    body.charge = () => true;
    source.emit("data", Buffer.from("x"));
    expect(source.isPaused).toBe(true);
    vi.advanceTimersByTime(10 * UPLOAD_IDLE_MS - 1);
    body.goOn();
    expect(source.isPaused).toBe(false);
    vi.advanceTimersByTime(UPLOAD_IDLE_MS - 1);
    expect(failure).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect(failure?.code).toBe("body_cut");
  });

  test("waits for both: the limit, and whoever reads it", () => {
    const { source, body } = begin();
    body.charge = () => true;
    source.emit("data", Buffer.from("x"));
    body.resume();
    expect(source.isPaused).toBe(true);
    body.pause();
    body.goOn();
    expect(source.isPaused).toBe(true);
    body.resume();
    expect(source.isPaused).toBe(false);
  });

  test("is not read on once it was given up", () => {
    const { source, body } = begin();
    body.charge = () => true;
    source.emit("data", Buffer.from("x"));
    body.destroy();
    body.goOn();
    expect(source.isPaused).toBe(true);
  });
});
