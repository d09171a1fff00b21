import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";
import { errorFromProblem, type RelayError } from "../../protocol/errors.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import type { RequestClaims } from "../../protocol/claims.ts";
import { type FakePool, idFor } from "./fake-pool.ts";
import { requestToken } from "./raw-caller.ts";
import { Inbox } from "./stream-client.ts";

/** A WebSocket to an edge, opened or refused. */
export type Opening =
  | {
      readonly socket: WebSocket;
      readonly inbox: Inbox;
      readonly fields: IncomingHttpHeaders;
      readonly refused?: never;
    }
  | {
      readonly socket?: never;
      readonly inbox?: never;
      readonly fields: IncomingHttpHeaders;
      readonly refused: RelayError;
    };

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

/** One stream through a pool; of its nodes the first is asked first. */
export interface PoolStream {
  readonly nodes: readonly { readonly id: string }[];
  readonly url: string;
  readonly claims?: Partial<RequestClaims>;
  readonly protocols?: readonly string[];
}

/** Opens a stream at a pool with a token in a field. */
export async function openAt(
  { edge, relayUrl }: Pick<FakePool, "edge" | "relayUrl">,
  { nodes, url, claims, protocols = [STREAM_PROTOCOL] }: PoolStream,
): Promise<Opening> {
  const all = { jti: idFor(nodes), node: nodes.map(({ id }) => id), ...claims };
  const token = await streamToken(relayUrl, url, all);
  return openSocket(edge, { protocols, headers: { "Relay-Authorization": `Bearer ${token}` } });
}

/** Asks an edge for a WebSocket. */
export async function openSocket(edge: string, asking: Asking): Promise<Opening> {
  const { path = "/stream", protocols = [], headers = {} } = asking;
  const options = { headers, perMessageDeflate: false };
  const socket = new WebSocket(`${edge.replace(/^http/, "ws")}${path}`, [...protocols], options);
  const inbox = new Inbox(socket);
  return new Promise((resolve, reject) => {
    let fields: IncomingHttpHeaders = {};
    socket.on("error", reject);
    socket.once("upgrade", (response) => (fields = response.headers));
    socket.once("open", () => resolve({ socket, inbox, fields }));
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      text(response)
        .then((body) => resolve({ fields: response.headers, refused: problemOf(response, body) }))
        .catch(reject);
    });
  });
}

function problemOf({ headers, statusCode }: IncomingMessage, body: string): RelayError {
  const get = (name: string) => (headers[name] as string | undefined) ?? null;
  return errorFromProblem(get("relay-error") ?? `HTTP ${statusCode}`, body, { get });
}
