import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type ClientOptions, WebSocket } from "ws";
import { errorFromProblem, RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { STREAM_MESSAGE_MAX_BYTES } from "../../protocol/limits.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { parseTiming } from "../info.ts";
import { PROBLEM_MAX_BYTES } from "../limits.ts";
import { type OpenWire, streamUrl } from "../stream-wire.ts";
import { WIRE_CLOSE_MS } from "./limits.ts";

/** A wire by `ws`: the token travels in a field of its own, and a refusal is the HTTP answer that it came as. */
export const openNodeWire: OpenWire = (edge, token, events) => {
  const options: ClientOptions & { readonly closeTimeout: number } = {
    headers: { [WIRE.authorization]: `Bearer ${token}` },
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: STREAM_MESSAGE_MAX_BYTES,
    closeTimeout: WIRE_CLOSE_MS,
    finishRequest: (request) => {
      request.once("socket", (made) => {
        connection = made;
        if (!isKept) made.unref();
      });
      request.end();
    },
  };
  let isOpen = false;
  let isOver = false;
  let isKept = true;
  let connection: Socket | undefined;
  const socket = new WebSocket(streamUrl(edge), STREAM_PROTOCOL, options);
  const over = (error: RelayError | undefined) => {
    if (isOver) return;
    isOver = true;
    events.closed(error);
  };
  socket.on("upgrade", () => {
    isOpen = true;
  });
  // Only whole Buffers come, as `binaryType` is left as it is.
  socket.on("message", (data: Buffer, isBinary) => {
    if (!isOver) events.message(isBinary ? data : data.toString());
  });
  socket.on("unexpected-response", (request, response) => {
    void readRefusal(response).then((error) => {
      over(error);
      request.destroy();
    });
  });
  socket.on("error", (cause) => {
    over(isOpen ? undefined : new RelayError("edge_unreachable", `${edge} opened no WebSocket`, { cause }));
  });
  socket.on("close", () => over(undefined));
  return {
    send: (message) => {
      // A failure of the connection is told by its own event.
      if (socket.readyState === WebSocket.OPEN) socket.send(message, ignore);
    },
    close: () => socket.close(1000),
    terminate: () => {
      isOver = true;
      socket.terminate();
    },
    keepAlive: (isWanted) => {
      isKept = isWanted;
      if (isWanted) connection?.ref();
      else connection?.unref();
    },
  };
};

function ignore(): void {}

/** What an answer other than 101 says. */
async function readRefusal(response: IncomingMessage): Promise<RelayError> {
  const fields = { get: (name: string) => response.headers[name]?.toString() ?? null };
  const code = fields.get(WIRE.error);
  if (code === null) {
    const type = fields.get("content-type")?.slice(0, 80) ?? "no content type";
    return new RelayError("edge_failed", `HTTP ${response.statusCode} with ${type} and no mark of the relay`);
  }
  const timing = fields.get(WIRE.timing);
  return errorFromProblem(
    code,
    await readProblem(response),
    fields,
    timing === null ? undefined : parseTiming(timing),
  );
}

async function readProblem(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > PROBLEM_MAX_BYTES) break;
    }
  } catch {
    // The code from the field is enough.
  }
  return Buffer.concat(chunks).toString();
}
