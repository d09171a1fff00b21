import { isRelayError, RelayError, withReached } from "../protocol/errors.ts";
import {
  errorOfReset,
  type OpenMessage,
  type ParkedMessage,
  parseStreamMessage,
  type StreamMessage,
} from "../protocol/stream-messages.ts";
import type { StreamPort } from "../protocol/stream-end.ts";
import { type RequestClaims, type Resume } from "../protocol/claims.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { cancel } from "./cancel.ts";
import { REQUEST_TOKEN_SECONDS } from "./limits.ts";
import type { OpenWire, StreamWire, WireEvents } from "./stream-wire.ts";
import { keepAlive } from "./timers.ts";
import type { Fetch, Signer } from "./wire.ts";

/** Who opens streams, and by what. */
export interface StreamSigner extends Pick<
  Signer,
  "edge" | "clientId" | "sign" | "refused" | "node" | "now"
> {
  readonly openWire: OpenWire;
  /** The fetch by which the edge is told that an opening is given up, looked up at each call. */
  readonly underlying: () => Fetch;
}

/** What one connection is for. */
export interface StreamRequest {
  /** `tcp://host:port`. */
  readonly url: string;
  readonly node: string | readonly string[] | undefined;
  /** Where the stream goes on; undefined for a new one. */
  readonly resume: Resume | undefined;
  /** Until it is open, or parked, in milliseconds. */
  readonly deadlineMs: number;
  /** The node is to dial only when it is told to. */
  readonly park?: boolean;
}

/** What a connection tells, `open` first, or `parked` before it, and `lost` last. */
export interface ConnectionEvents {
  parked?(message: ParkedMessage): void;
  open(message: OpenMessage): void;
  message(message: Uint8Array | string): void;
  /**
   * It has ended, once. Before `open` the error says why there is none.
   * @param isWord whether the node or the edge said so in band, before `open`: no byte has gone anywhere then
   */
  lost(error: RelayError, isWord: boolean): void;
}

/** The claims of a token that opens or resumes a stream: pure, with id and time passed in. */
export function streamClaims(
  { url, node, resume, park }: Pick<StreamRequest, "url" | "node" | "resume" | "park">,
  { edge, clientId }: Pick<Signer, "edge" | "clientId">,
  { id, seconds }: { readonly id: string; readonly seconds: number },
): RequestClaims {
  return {
    iss: clientId,
    aud: edge,
    act: "stream",
    iat: seconds,
    exp: seconds + REQUEST_TOKEN_SECONDS,
    jti: id,
    htm: "GET",
    url,
    framing: "none",
    ...(node !== undefined && { node }),
    ...(resume !== undefined && { resume }),
    ...(park === true && { park }),
  };
}

/** One connection of a stream: signs its token, opens its wire, and reads its first message. A stream can have several, one after the other. */
export class StreamConnection implements StreamPort {
  readonly #signer: StreamSigner;
  #events: ConnectionEvents;
  #deadline: ReturnType<typeof setTimeout>;
  #wire: StreamWire | undefined;
  readonly #request: StreamRequest;
  /** What the edge was asked for last, and by which token. */
  #asked: RequestClaims | undefined;
  #token: string | undefined;
  /** Whether the edge did not take the certificate of the first attempt. */
  #isAnew = false;
  #state: "opening" | "parked" | "dialling" | "open" | "over" = "opening";
  #keepsAlive: boolean;
  #dialMs = 0;

  constructor(signer: StreamSigner, request: StreamRequest, events: ConnectionEvents, keepsAlive: boolean) {
    this.#signer = signer;
    this.#request = request;
    this.#events = events;
    this.#keepsAlive = keepsAlive;
    this.#deadline = this.#within(request.deadlineMs);
    this.#start();
  }

  /** Whether it waits for the word to dial. */
  get isParked(): boolean {
    return this.#state === "parked" && this.#wire?.isOpen !== false;
  }

  /** Somebody else is told from now on. */
  handTo(events: ConnectionEvents): void {
    this.#events = events;
  }

  /**
   * Tells the node of a parked path to dial. What is sent from now on goes to the target once that is connected.
   * @param wordMs until the node has said anything at all
   * @param deadlineMs until the stream is open
   */
  dial(wordMs: number, deadlineMs: number): void {
    this.#state = "dialling";
    this.#dialMs = deadlineMs;
    this.#deadline = this.#within(wordMs);
    for (const type of ["dial", "ping"]) this.#wire!.send(JSON.stringify({ type }));
  }

  #within(ms: number): ReturnType<typeof setTimeout> {
    const deadline = setTimeout(() => {
      this.#giveUp();
      this.#lose(new RelayError("edge_unreachable", `no stream within ${ms} ms`));
    }, ms);
    keepAlive(deadline, this.#keepsAlive);
    return deadline;
  }

  send(message: Uint8Array | string): void {
    this.#wire?.send(message);
  }

  /** Sends what it was given, then ends; nothing is told any more. What is not there yet is given up. */
  close(): void {
    if (this.#state === "opening") return this.terminate();
    this.#over();
    this.#wire?.close();
  }

  /** Ends at once; nothing is told any more. */
  terminate(): void {
    this.#giveUp();
    this.#cut();
  }

  keepAlive(isWanted: boolean): void {
    this.#keepsAlive = isWanted;
    keepAlive(this.#deadline, isWanted);
    this.#wire?.keepAlive?.(isWanted);
  }

  #start(): void {
    this.#openWire(this.#request).catch((cause: unknown) => {
      this.#lose(
        isRelayError(cause)
          ? cause
          : new RelayError("edge_unreachable", "no WebSocket could be opened", { cause }),
      );
    });
  }

  async #openWire(request: StreamRequest): Promise<void> {
    const { edge, openWire } = this.#signer;
    const token = await this.#sign(request);
    if (this.#state === "over") return;
    const events: WireEvents = {
      message: (message) => this.#take(message),
      closed: (error) =>
        this.#lose(error ?? new RelayError("edge_unreachable", "the connection to the relay ended")),
    };
    this.#wire = openWire(edge, token, events, {
      isResume: request.resume !== undefined,
      anotherToken: () => this.#sign(request),
    });
    if (!this.#keepsAlive) this.#wire.keepAlive?.(false);
  }

  async #sign(request: StreamRequest): Promise<string> {
    const { sign, now } = this.#signer;
    const stamp = { id: newRequestId(), seconds: Math.floor(now() / 1_000) };
    const claims = streamClaims(request, this.#signer, stamp);
    this.#token = await sign(claims);
    this.#asked = claims;
    return this.#token;
  }

  #take(message: Uint8Array | string): void {
    if (this.#state === "open") return this.#events.message(message);
    if (this.#state === "over") return;
    try {
      const first = readFirst(message);
      const isDialling = this.#state === "dialling";
      if (first.type === "rst") {
        const error = errorOfReset(first);
        return this.#lose(isDialling ? withReached(error, "no") : error, true);
      }
      if (isDialling && first.type === "pong") return this.#goOnDialling();
      if (this.#state === "parked" && first.type === "pong") return this.#events.message(message);
      const isPark = this.#request.park === true && !isDialling;
      if (isPark && first.type === "open") this.#undo();
      if (first.type !== (isPark ? "parked" : "open")) {
        throw new RelayError("stream_protocol", `the first message is no ${isPark ? "parked" : "open"}`);
      }
      clearTimeout(this.#deadline);
      if (first.type === "parked" && this.#state === "opening") {
        this.#state = "parked";
        this.#events.parked?.(first);
      } else if (first.type === "open") {
        this.#state = "open";
        this.#events.open(first);
      } else throw new RelayError("stream_protocol", "it is parked once");
    } catch (error) {
      if (!isRelayError(error)) throw error;
      this.#lose(error);
    }
  }

  /** An older node has dialled at once: it would keep the connection for a while. */
  #undo(): void {
    const reset = { type: "rst", code: "stream_cancelled", detail: "a path was asked for, and no stream" };
    this.#wire?.send(JSON.stringify(reset));
    this.#wire?.close();
    this.#wire = undefined;
  }

  /** The node is there: what is left is its dial. */
  #goOnDialling(): void {
    if (this.#dialMs === 0) return;
    clearTimeout(this.#deadline);
    this.#deadline = this.#within(this.#dialMs);
    this.#dialMs = 0;
  }

  #lose(error: RelayError, isWord = false): void {
    if (this.#state === "over") return;
    const isFirst = this.#state === "opening" && !this.#isAnew;
    if (isFirst && this.#token !== undefined && this.#signer.refused(this.#token, error)) {
      this.#isAnew = true;
      this.#wire?.terminate();
      return this.#start();
    }
    this.#cut();
    this.#events.lost(error, isWord);
  }

  /**
   * An opening that is given up: a connection that is closed tells the edge nothing while a target is being dialled, so that it
   * is told in words. Whether that arrives changes nothing here.
   */
  #giveUp(): void {
    const asked = this.#asked;
    if (asked === undefined || asked.resume !== undefined) return;
    // A path that stands tells its end itself; one that was told to dial may be dead.
    if (this.#state !== (asked.park === true ? "dialling" : "opening")) return;
    cancel(asked, this.#signer, this.#signer.underlying()).catch(() => {});
  }

  #cut(): void {
    this.#over();
    this.#wire?.terminate();
  }

  #over(): void {
    this.#state = "over";
    clearTimeout(this.#deadline);
  }
}

function readFirst(message: Uint8Array | string): StreamMessage {
  if (typeof message === "string") return parseStreamMessage(message);
  throw new RelayError("stream_protocol", "bytes came before open");
}
