import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import { errorFromProblem, type RelayError } from "../../protocol/errors.ts";
import type { RequestClaims } from "../../protocol/tokens.ts";
import { requestToken } from "./raw-caller.ts";

/** A WebSocket to an edge, opened or refused. */
export type Opening =
  | { readonly socket: WebSocket; readonly fields: IncomingMessage["headers"]; readonly refused?: never }
  | { readonly socket?: never; readonly fields: IncomingMessage["headers"]; readonly refused: RelayError };

/** How a WebSocket is asked for. */
export interface Asking {
  readonly path?: string;
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request token for one stream through the edge of `HOLDFAST_URL`. */
export function streamToken(relayUrl: string, url: string, claims?: Partial<RequestClaims>): Promise<string> {
  return requestToken(relayUrl, { act: "stream", htm: "GET", framing: "none", url, ...claims });
}

/** Opens a WebSocket; an answer that is none is read whole. */
export async function openSocket(edge: string, asking: Asking): Promise<Opening> {
  const socket = new WebSocket(
    `${edge.replace(/^http/, "ws")}${asking.path ?? "/stream"}`,
    [...(asking.protocols ?? [])],
    { headers: { ...asking.headers }, perMessageDeflate: false },
  );
  socket.on("error", () => {});
  // What comes right behind the head must find a listener.
  socket.pause();
  return new Promise((resolve, reject) => {
    let fields: IncomingMessage["headers"] = {};
    socket.once("upgrade", ({ headers }) => (fields = headers));
    socket.once("open", () => resolve({ socket, fields }));
    socket.once("error", reject);
    socket.once("unexpected-response", (_request, answer) => {
      void textOf(answer).then((text) => {
        const field = (name: string) => answer.headers[name] as string | undefined;
        const get = (name: string) => field(name) ?? null;
        const refused = errorFromProblem(field("relay-error") ?? `HTTP ${answer.statusCode}`, text, { get });
        resolve({ fields: answer.headers, refused });
      }, reject);
    });
  });
}

/** The next message; text as a string, bytes as a Buffer. */
export async function nextMessage(socket: WebSocket): Promise<string | Buffer> {
  const got = once(socket, "message") as Promise<[RawData, boolean]>;
  socket.resume();
  const [data, isBinary] = await got;
  socket.pause();
  return isBinary ? (data as Buffer) : (data as Buffer).toString();
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
