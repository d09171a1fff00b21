import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { encodeSection, sectionToWire } from "../../protocol/envelope.ts";
import type { Field } from "../../protocol/headers.ts";
import { importPrivateKey, parseRelayUrl } from "../../protocol/keys.ts";
import { type Framing, type RequestClaims } from "../../protocol/claims.ts";
import { newRequestId, signToken } from "../../protocol/tokens.ts";
import { BodyRecord, type MessageHead, MessageReader } from "./http-message.ts";

/** A request token for one call through the edge of `HOLDFAST_URL`. */
export async function requestToken(
  relayUrl: string,
  call: Pick<RequestClaims, "htm" | "url"> & Partial<RequestClaims>,
): Promise<string> {
  const { edge, clientId, privateKey } = parseRelayUrl(relayUrl);
  const iat = Math.floor(Date.now() / 1_000);
  const claims: RequestClaims = {
    iss: clientId,
    aud: edge,
    act: "fetch",
    iat,
    exp: iat + 60,
    jti: newRequestId(),
    ...call,
  };
  return signToken("request", claims, await importPrivateKey(privateKey!));
}

/** One call as a caller writes it who is no client of ours. */
export interface Call {
  readonly method: string;
  readonly url: string;
  readonly fields?: readonly Field[];
  /** How the body travels, and what is signed for it. */
  readonly framing?: Framing;
  readonly digest?: string;
  readonly node?: string;
  /** What else is signed. */
  readonly claims?: Partial<RequestClaims>;
}

/** What is sent to the edge: method and fields, those of framing left out. */
export interface Wire {
  readonly method: string;
  readonly fields: readonly Field[];
  readonly framing: Framing;
}

/** The enveloped form, with nothing checked that the edge or the node should check. */
export async function enveloped(relayUrl: string, call: Call): Promise<Wire> {
  const { method, url, fields = [], framing = "none", digest, node, claims } = call;
  const more = {
    framing,
    ...(digest !== undefined && { digest }),
    ...(node !== undefined && { node }),
    ...claims,
  };
  const token = await requestToken(relayUrl, { htm: method, url, ...more });
  return {
    method: "POST",
    framing,
    fields: [
      ["Relay-Authorization", `Bearer ${token}`],
      ["Relay-Envelope", "1"],
      ...sectionToWire(encodeSection(fields)),
    ],
  };
}

/** The raw form: the caller's own method and fields, and one that authorises it. */
export async function raw(
  relayUrl: string,
  { method, url, fields = [], framing = "none", node, claims }: Call,
): Promise<Wire> {
  const more = { ...(node !== undefined && { node }), ...claims };
  const token = await requestToken(relayUrl, { htm: method, url, ...more });
  return { method, framing, fields: [["Relay-Authorization", `Bearer ${token}`], ...fields] };
}

/** A request on a connection of its own to the edge, written byte for byte, and the answer as it comes. */
export class EdgeCall {
  /** The answer's head; rejects where the connection ends before it. */
  readonly head: Promise<MessageHead>;
  readonly body = new BodyRecord();
  /** Resolves when the answer is whole or has broken off; `body.whole` tells which. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #chunked: boolean;
  readonly #closed: Promise<void>;

  private constructor(socket: Socket, wire: Wire) {
    this.#socket = socket;
    this.#chunked = wire.framing === "chunked";
    const head = Promise.withResolvers<MessageHead>();
    const ended = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    this.#closed = closed.promise;
    this.head = head.promise;
    this.ended = ended.promise;
    // Whoever waits for the end alone doesn't ask for the head.
    head.promise.catch(() => {});
    const reader = new MessageReader(
      "response",
      {
        head: (one) => {
          if (!one.start.startsWith("HTTP/1.1 1")) head.resolve(one);
        },
        body: (chunk) => this.body.add(chunk),
        end: (trailers) => {
          this.body.whole = true;
          this.body.trailers = trailers;
          ended.resolve();
        },
      },
      (start) => wire.method === "HEAD" || /^\S+ (1..|204|304)/.test(start),
    );
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("error", () => {});
    socket.on("end", () => reader.close());
    socket.on("close", () => {
      head.reject(new Error("the edge ended the connection without an answer"));
      ended.resolve();
      closed.resolve();
    });
  }

  /** Connects and writes the request's head. */
  static async begin(edge: string, wire: Wire, path = "/fetch"): Promise<EdgeCall> {
    const { hostname, port, host } = new URL(edge);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const framing: Field[] =
      wire.framing === "none"
        ? []
        : [
            wire.framing === "chunked"
              ? ["Transfer-Encoding", "chunked"]
              : ["Content-Length", String(wire.framing)],
          ];
    const lines = [["Host", host], ...wire.fields, ...framing].map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    socket.write(`${wire.method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
    return new EdgeCall(socket, wire);
  }

  /** A whole call: head, body, answer. */
  static async make(
    edge: string,
    wire: Wire,
    body?: string | Uint8Array,
  ): Promise<{ head: MessageHead; body: BodyRecord }> {
    const call = await EdgeCall.begin(edge, wire);
    if (body !== undefined) await call.send(body);
    if (wire.framing === "chunked") call.finish();
    const head = await call.head;
    await call.ended;
    call.destroy();
    return { head, body: call.body };
  }

  /** Sends a piece of the body, as a chunk where it travels in chunks, and waits for room. */
  async send(part: string | Uint8Array): Promise<void> {
    const bytes = typeof part === "string" ? Buffer.from(part, "latin1") : part;
    if (bytes.length === 0) return;
    this.#socket.cork();
    if (this.#chunked) this.#socket.write(`${bytes.length.toString(16)}\r\n`);
    const room = this.#socket.write(bytes);
    if (this.#chunked) this.#socket.write("\r\n");
    this.#socket.uncork();
    if (!room && !this.#socket.destroyed) await Promise.race([once(this.#socket, "drain"), this.#closed]);
  }

  /** Ends a chunked body. */
  finish(): void {
    this.#socket.write("0\r\n\r\n");
  }

  /** FIN, in mid-body or after it. */
  halfClose(): void {
    this.#socket.end();
  }

  /** RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
