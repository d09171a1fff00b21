import type { OnReadOpts, Socket } from "node:net";
import { type ClientOptions, WebSocket } from "ws";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { STREAM_MESSAGE_MAX_BYTES } from "../../protocol/limits.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { type OpenWire, type StreamWire, streamUrl } from "../stream-wire.ts";
import { keepAsWanted } from "./keep-alive.ts";
import { READ_BUFFER_BYTES, WIRE_CLOSE_MS } from "./limits.ts";
import { readRefusal, type Refusal } from "./refusal.ts";

/** A wire by `ws`: the token travels in a field of its own, and a refusal is the HTTP answer that it came as. */
export const openNodeWire: OpenWire = (edge, token, events) =>
  openSocket(
    { origin: edge, bearer: token },
    {
      message: (message) => events.message(message),
      ended: () => events.closed(undefined),
      refused: ({ error }) => events.closed(error),
      failed: (cause) =>
        events.closed(new RelayError("edge_unreachable", `${edge} opened no WebSocket`, { cause })),
    },
  );

/** What a WebSocket is asked for by. */
export interface SocketAsk {
  /** The edge's, or a node's. */
  readonly origin: string;
  /** The token, or the grant. */
  readonly bearer: string;
  /** How long it may take until the connection stands, its TLS included, in milliseconds. */
  readonly reachMs?: number;
  /** Whatever this process does elsewhere: without a certificate that holds nothing is sent. */
  readonly mustVerify?: boolean;
}

/** What a WebSocket tells. One of `ended`, `refused` and `failed` is its last. */
export interface SocketEvents {
  message(message: Uint8Array | string): void;
  /** It was open, and is no more. */
  ended(): void;
  /** An HTTP answer came in its place. */
  refused(refusal: Refusal): void;
  /** Neither it nor an answer came. */
  failed(cause: Error): void;
}

/** All connections over TLS read into it; nothing stands in it once a read was told of. */
const SHARED = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

/**
 * Has TLS hand on copies that are as large as what was read. Node by itself may make 64 kB known to its collector of garbage for each read,
 * however little that was (26.10 does): a busy stream of small messages had it look through its whole heap ten times a second.
 */
function exactReads(socket: () => Socket): OnReadOpts {
  return {
    buffer: SHARED,
    callback: (bytes) => socket().push(Buffer.from(SHARED.subarray(0, bytes))),
  };
}

/** Begins to open a WebSocket for a stream. */
export function openSocket(
  { origin, bearer, reachMs, mustVerify }: SocketAsk,
  events: SocketEvents,
): StreamWire {
  const url = streamUrl(origin);
  const isSecure = url.startsWith("wss:");
  const options: ClientOptions & { readonly closeTimeout: number; readonly onread?: OnReadOpts } = {
    headers: { [WIRE.authorization]: `Bearer ${bearer}` },
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: STREAM_MESSAGE_MAX_BYTES,
    closeTimeout: WIRE_CLOSE_MS,
    ...(isSecure && { onread: exactReads(() => connection!) }),
    ...(mustVerify === true && { rejectUnauthorized: true }),
    finishRequest: (request) => {
      request.once("socket", (made) => {
        connection = made;
        keepAsWanted(made, () => isKept);
        made.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(late));
      });
      request.end();
    },
  };
  let isOpen = false;
  let isOver = false;
  let isKept = true;
  let connection: Socket | undefined;
  const socket = new WebSocket(url, STREAM_PROTOCOL, options);
  const over = (tell: () => void) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(late);
    tell();
  };
  const failed = (cause: Error) => over(() => (isOpen ? events.ended() : events.failed(cause)));
  const late =
    reachMs === undefined
      ? undefined
      : setTimeout(() => {
          failed(new Error(`no connection within ${reachMs} ms`));
          socket.terminate();
        }, reachMs).unref();
  socket.on("upgrade", () => {
    isOpen = true;
  });
  // Only whole Buffers come, as `binaryType` is left as it is.
  socket.on("message", (data: Buffer, isBinary) => {
    if (!isOver) events.message(isBinary ? data : data.toString());
  });
  socket.on("unexpected-response", (request, response) => {
    void readRefusal(response).then((refusal) => {
      over(() => events.refused(refusal));
      request.destroy();
    });
  });
  socket.on("error", failed);
  socket.on("close", () => failed(new Error("the connection ended")));
  return {
    get isOpen() {
      return socket.readyState === WebSocket.OPEN;
    },
    send: (message) => {
      // A failure of the connection is told by its own event.
      if (socket.readyState === WebSocket.OPEN) socket.send(message, ignore);
    },
    close: () => socket.close(1000),
    terminate: () => {
      isOver = true;
      clearTimeout(late);
      socket.terminate();
    },
    keepAlive: (isWanted) => {
      isKept = isWanted;
      if (isWanted) connection?.ref();
      else connection?.unref();
    },
  };
}

function ignore(): void {}
