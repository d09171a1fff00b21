import { RelayError } from "../protocol/errors.ts";
import { BEARER_PROTOCOL, STREAM_PROTOCOL } from "../protocol/stream-messages.ts";
import { type OpenWire, streamUrl } from "./stream-wire.ts";

/**
 * A wire by the standard's WebSocket. It can set no field, so the token is a subprotocol; it can read no HTTP answer, so the
 * relay tells a failure as a stream's first message.
 */
export const openWebWire: OpenWire = (edge, token, events) => {
  const socket = new WebSocket(streamUrl(edge), [STREAM_PROTOCOL, BEARER_PROTOCOL + token]);
  socket.binaryType = "arraybuffer";
  let isOpen = false;
  let isOver = false;
  const over = (error: RelayError | undefined) => {
    if (isOver) return;
    isOver = true;
    events.closed(error);
  };
  const end = () =>
    over(isOpen ? undefined : new RelayError("edge_unreachable", `${edge} opened no WebSocket`));
  socket.addEventListener("open", () => {
    isOpen = true;
  });
  socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (!isOver) events.message(typeof data === "string" ? data : new Uint8Array(data));
  });
  socket.addEventListener("close", end);
  socket.addEventListener("error", end);
  const close = () => {
    const { readyState } = socket;
    if (readyState === WebSocket.CONNECTING || readyState === WebSocket.OPEN) socket.close(1000);
  };
  return {
    send: (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer> | string);
    },
    close,
    terminate: () => {
      isOver = true;
      close();
    },
  };
};
