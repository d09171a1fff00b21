import http from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { isRelayError, problemResponse, RelayError } from "../../protocol/errors.ts";
import { Heartbeat } from "../../protocol/heartbeat.ts";
import { generateClientKey, importPublicKey } from "../../protocol/keys.ts";
import { STREAM_TICK_MS, STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { StreamEnd } from "../../protocol/stream-end.ts";
import { BEARER_PROTOCOL, STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { parseTunnelUrl } from "../../protocol/targets.ts";
import { checkRequestClaims, type RequestClaims } from "../../protocol/claims.ts";
import { newRequestId, readBearer, verifySignature } from "../../protocol/tokens.ts";
import { openTokenDesk, type TokenDesk } from "./token-desk.ts";

/** Edge and node of streams in one process, over a real WebSocket and a real TCP connection, so that tests can cut between them. */
export interface StreamRelay {
  /** What HOLDFAST_URL would hold. */
  readonly url: string;
  /** The same for a client without a key. */
  readonly keylessUrl: string;
  readonly desk: TokenDesk;
  readonly origin: string;
  /** The claims of every token that was proven, in order. */
  readonly seen: RequestClaims[];
  /** Upgrades that came, also refused ones. */
  readonly attempts: () => number;
  /** Streams that are kept. */
  readonly streams: () => number;
  /** What the streams have received from their targets and not yet passed on. */
  readonly held: () => number;
  /** Ends every connection at once, without a word. */
  readonly cut: () => void;
  /** From now on: what connections are refused with before they are read; `silent` gives no answer at all. */
  refuse: RelayError | "silent" | "destroy" | "destroy once" | "page" | undefined;
  /** Whether it knows paths that are parked; what does not takes `park` for nothing. */
  parks: boolean;
  /** From now on: what becomes of a parked path that is told to dial, in place of the dial. */
  dials: RelayError | "silent" | "destroy" | undefined;
  /** What parked paths are told of how long they stay. */
  parkedSeconds: number;
  /** Paths that are parked. */
  readonly parked: () => number;
  /** How often it was told that a request is given up. */
  readonly cancels: () => number;
  /** The connections that there are carry nothing more, and stand: as over a path that has gone dead. */
  readonly freeze: () => void;
  /** Forgets every stream, as a node that was started anew. */
  readonly forget: () => void;
  readonly close: () => Promise<void>;
}

const CLIENT_ID = "app";
const NODE = "node-a";
const EGRESS = "203.0.113.7";

/** One stream: its end, its target, and the connection it has at the moment. */
interface Kept {
  readonly id: string;
  readonly url: string;
  readonly end: StreamEnd;
  readonly target: Socket;
  socket: WebSocket | undefined;
}

export async function startStreamRelay({
  window = STREAM_WINDOW_BYTES,
}: { readonly window?: number } = {}): Promise<StreamRelay> {
  const { publicJwk, privateKey } = await generateClientKey();
  const publicKey = await importPublicKey(publicJwk);
  const kept = new Map<string, Kept>();
  const used = new Set<string>();
  const connections = new Set<Duplex>();
  let attempts = 0;
  const parked = new Set<WebSocket>();
  let freezes = 0;
  let cancels = 0;
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => STREAM_PROTOCOL });
  const desk = await openTokenDesk(() => origin);
  const server = http.createServer((request, response) => {
    if (request.url === "/cancel") cancels += 1;
    if (request.url === "/token") void desk.answer(request, response);
    else response.writeHead(426).end();
  });

  const prove = async (request: http.IncomingMessage, bearer: string | undefined): Promise<RequestClaims> => {
    if (request.url !== "/stream") throw new RelayError("not_found", "not /stream");
    const token = readBearer("request", bearer);
    const claims = checkRequestClaims(token.claims, origin, Date.now() / 1_000, "stream");
    await verifySignature(token, [(await desk.keyOf(token.token)) ?? publicKey]);
    if (used.has(claims.jti)) throw new RelayError("token_replayed", "used before");
    used.add(claims.jti);
    return claims;
  };

  const dial = (url: string, id = newRequestId()): Promise<Kept> => {
    const { host, port } = parseTunnelUrl(url);
    const target = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const end: StreamEnd = new StreamEnd(window, {
      data: (chunk) => void target.write(chunk, () => end.consumed(chunk.length)),
      fin: () => void target.end(),
      room: () => pass(),
      reset: () => {
        target.resetAndDestroy();
        drop();
      },
      done: () => setTimeout(drop, 2_000).unref(),
    });
    const one: Kept = { id, url, end, target, socket: undefined };
    const drop = () => {
      kept.delete(one.id);
      one.socket?.close(1000);
    };
    // A window is larger than what a socket reads at once; what has no room yet waits here.
    const waiting: Buffer[] = [];
    let hasEnded = false;
    const pass = () => {
      while (waiting.length > 0 && end.room > 0) {
        const first = waiting.shift()!;
        const piece = first.subarray(0, end.room);
        if (piece.length < first.length) waiting.unshift(first.subarray(piece.length));
        end.send(piece);
      }
      if (waiting.length > 0) target.pause();
      else if (hasEnded) end.finish();
      else target.resume();
    };
    target.on("data", (chunk: Buffer) => {
      waiting.push(chunk);
      pass();
    });
    target.on("end", () => {
      hasEnded = true;
      pass();
    });
    return new Promise((resolve, reject) => {
      target.once("connect", () => {
        kept.set(one.id, one);
        resolve(one);
      });
      target.on("error", (cause) => {
        reject(new RelayError("connect_refused", "nobody listens", { cause, node: NODE }));
        end.reset(new RelayError("target_reset", "the target reset the connection"));
      });
    });
  };

  const find = async ({ url, resume }: RequestClaims): Promise<Kept> => {
    if (resume === undefined) return dial(url);
    const one = kept.get(resume.stream);
    if (one === undefined || one.url !== url) throw new RelayError("stream_unknown", "no such stream");
    return one;
  };

  const serve = (one: Kept, claims: RequestClaims, socket: WebSocket) => {
    one.socket?.terminate();
    one.end.detach();
    one.socket = socket;
    const begun = freezes;
    const heart = new Heartbeat(performance.now());
    const send = (message: Uint8Array | string) => {
      if (freezes === begun && socket.readyState === socket.OPEN) socket.send(message);
    };
    const { id, end } = one;
    send(
      JSON.stringify({
        type: "open",
        stream: id,
        egress: EGRESS,
        node: NODE,
        window,
        received: end.received,
      }),
    );
    socket.on("message", (data: Buffer, isBinary) => {
      heart.heard(performance.now());
      if (freezes === begun && one.socket === socket) end.receive(isBinary ? data : data.toString());
    });
    const ticks = setInterval(() => {
      end.acknowledge();
      const verdict = heart.look(performance.now(), end.isWaiting);
      if (verdict === "ask") end.ping();
      if (verdict === "lost") socket.terminate();
    }, STREAM_TICK_MS);
    socket.on("close", () => {
      clearInterval(ticks);
      if (one.socket === socket) end.detach();
    });
    socket.on("error", () => {});
    end.attach({ send }, claims.resume?.received ?? 0);
  };

  const park = (claims: RequestClaims, socket: WebSocket) => {
    const id = newRequestId();
    const say = (message: object) => socket.send(JSON.stringify(message));
    parked.add(socket);
    socket.on("close", () => parked.delete(socket));
    const early: [data: Buffer, isBinary: boolean][] = [];
    const begun = freezes;
    let isDialling = false;
    let isGivenUp = false;
    socket.on("close", () => (isGivenUp = true));
    const take = (data: Buffer, isBinary: boolean) => {
      const { type } = isBinary ? {} : (JSON.parse(data.toString()) as { type?: string });
      if (type === "rst") isGivenUp = true;
      if (type === "ping") {
        const isSilent = freezes !== begun || (isDialling && relay.dials === "silent");
        if (!isSilent) say({ type: "pong" });
        return;
      }
      if (type !== "dial") return void early.push([data, isBinary]);
      parked.delete(socket);
      isDialling = true;
      const refuse = (error: RelayError) => {
        say({ type: "rst", code: error.code, detail: error.detail });
        socket.close(1000);
      };
      const { dials } = relay;
      if (dials === "silent") return;
      // What follows at once is taken still.
      if (dials === "destroy") return void setTimeout(() => socket.terminate(), 50);
      if (dials !== undefined) return refuse(dials);
      dial(claims.url, id).then(
        (one) => {
          if (isGivenUp) return one.end.reset(new RelayError("stream_cancelled", "given up"));
          socket.off("message", take);
          serve(one, claims, socket);
          for (const message of early) socket.emit("message", ...message);
        },
        (error: unknown) => refuse(error as RelayError),
      );
    };
    socket.on("message", take);
    say({ type: "parked", stream: id, node: NODE, window, seconds: relay.parkedSeconds });
  };

  server.on("upgrade", (request, connection, head) => {
    attempts += 1;
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
    connection.on("error", () => {});
    const { refuse } = relay;
    if (refuse === "silent") return;
    if (refuse === "destroy once") relay.refuse = undefined;
    if (refuse === "destroy" || refuse === "destroy once") return void connection.destroy();
    if (refuse === "page") {
      return void connection.end(
        "HTTP/1.1 530 Page\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\npage",
      );
    }
    const offered = request.headers["sec-websocket-protocol"]?.split(/, */) ?? [];
    const inBand = offered.find((protocol) => protocol.startsWith(BEARER_PROTOCOL));
    const bearer =
      inBand === undefined
        ? request.headers["relay-authorization"]?.toString()
        : `Bearer ${inBand.slice(BEARER_PROTOCOL.length)}`;
    const open = async () => {
      if (refuse !== undefined) throw refuse;
      const claims = await prove(request, bearer);
      relay.seen.push(claims);
      const isParked = relay.parks && claims.park === true;
      return { claims, one: isParked ? undefined : await find(claims) };
    };
    open().then(
      ({ claims, one }) =>
        sockets.handleUpgrade(request, connection, head, (socket) => {
          if (one === undefined) park(claims, socket);
          else serve(one, claims, socket);
        }),
      (cause: unknown) => {
        const error = isRelayError(cause) ? cause : new RelayError("edge_internal", String(cause));
        if (inBand === undefined) return writeProblem(connection, error);
        sockets.handleUpgrade(request, connection, head, (socket) => {
          socket.send(JSON.stringify({ type: "rst", code: error.code, detail: error.detail }));
          socket.close(1000);
        });
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin: string = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const cut = () => {
    for (const connection of connections) connection.destroy();
  };
  const forget = () => {
    for (const { target } of kept.values()) target.destroy();
    kept.clear();
  };
  const relay: StreamRelay = {
    url: origin.replace("//", `//${CLIENT_ID}:${privateKey}@`),
    keylessUrl: origin.replace("//", `//${CLIENT_ID}@`),
    desk,
    origin,
    seen: [],
    attempts: () => attempts,
    streams: () => kept.size,
    held: () => [...kept.values()].reduce((sum, { end }) => sum + window - end.room, 0),
    cut,
    refuse: undefined,
    parks: false,
    parkedSeconds: 25,
    dials: undefined,
    parked: () => parked.size,
    cancels: () => cancels,
    freeze: () => {
      freezes += 1;
    },
    forget,
    close: () => {
      forget();
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return relay;
}

function writeProblem(connection: Duplex, error: RelayError): void {
  const { status, headers, body } = problemResponse(error);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  connection.end(
    `HTTP/1.1 ${status} Refused\r\n${lines}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
