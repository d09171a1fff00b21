import { RelayError } from "../protocol/errors.ts";
import { Inbox, Outbox } from "./stream-boxes.ts";
import { StreamSession, type StreamSettings, type StreamTarget } from "./stream-session.ts";

/** How a connection came to be. */
export interface ConnectionInfo {
  /** The node that holds the connection to the target. */
  readonly node: string;
  /** The address that the target sees. */
  readonly egress: string;
  /** The stream's id, of which the node logs a hash. */
  readonly stream: string;
}

/** A TCP connection by the relay, in the shape of the sockets API that runtimes at the edge have. */
export interface RelayConnection {
  /** What the target sends. Cancelled: the connection is reset. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent to the target. Closed: the target sees the end, and may go on sending. Aborted: the connection is reset. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves once the target has accepted. Rejects with a RelayError. */
  readonly opened: Promise<ConnectionInfo>;
  /** Resolves once both sides have sent all, or the app ended it. Rejects with a RelayError where it broke. */
  readonly closed: Promise<void>;
  /** Ends the connection: what has been written still arrives, nothing more is read. Resolves as `closed` does. */
  readonly close: () => Promise<void>;
}

/** Opens a TCP connection by the relay. It returns at once; a failure is what `opened` rejects with. */
export function connectStream(target: StreamTarget, settings: StreamSettings): RelayConnection {
  const opened = Promise.withResolvers<ConnectionInfo>();
  const closed = Promise.withResolvers<void>();
  // Whoever does not ask is not to die of it.
  for (const { promise } of [opened, closed]) promise.catch(() => {});
  const giveUp = () => {
    closed.resolve();
    session.reset(new RelayError("stream_cancelled", "the app gave the connection up"));
  };
  const inbox = new Inbox({ consumed: (bytes) => session.consumed(bytes), giveUp });
  const outbox = new Outbox({
    room: () => session.room,
    send: (piece) => session.send(piece),
    finish: async () => {
      await opened.promise;
      session.finish();
    },
    giveUp,
  });
  const session = new StreamSession(target, settings, {
    opened: ({ node, egress, stream }) => {
      opened.resolve({ node, egress, stream });
      outbox.wake();
    },
    data: (chunk) => inbox.put(chunk),
    fin: () => inbox.end(),
    room: () => outbox.wake(),
    reset: (error) => {
      opened.reject(error);
      closed.reject(error);
      inbox.fail(error);
      outbox.fail(error);
    },
    done: () => closed.resolve(),
  });
  const close = () => {
    const error = new RelayError("stream_cancelled", "the app closed the connection");
    opened.reject(error);
    inbox.drop();
    outbox.fail(error);
    session.close();
    return closed.promise;
  };
  return {
    readable: inbox.readable,
    writable: outbox.writable,
    opened: opened.promise,
    closed: closed.promise,
    close,
  };
}
