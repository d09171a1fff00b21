import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { RelayError } from "../protocol/errors.ts";
import { writeFailure, writeJson } from "./answer.ts";
import { serveCancel } from "./cancel-door.ts";
import type { NodeContext } from "./context.ts";
import { FetchDoor } from "./fetch-door.ts";
import { UPGRADE_FIELDS } from "./handshake.ts";
import { plainAddress } from "./ip-address.ts";
import type { Metrics } from "./metrics.ts";
import { Outcome } from "./outcome.ts";
import type { Peers } from "./peers.ts";
import { RelayedRequest } from "./relayed-request.ts";
import { hasBody } from "./request-body.ts";
import type { Requests } from "./requests.ts";
import { serveResolve } from "./resolve-door.ts";
import type { Streams } from "./streams.ts";

/** How a node stands, as `/healthz` tells it: it serves where this is `ok`. */
export interface Health {
  readonly status: "ok" | "draining" | "starting" | "out_of_service";
  readonly reason?: string;
}

/** What the routes of a node's listener lead to. */
export interface RouteParts {
  readonly node: NodeContext;
  readonly requests: Requests;
  readonly streams: Streams;
  readonly peers: Peers;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly health: () => Health;
}

/** Leads each request to its door. Upgrades, which are streams, come by another way. */
export function routesOf(parts: RouteParts): RequestListener {
  const { node, requests, peers } = parts;
  const { id } = node.config;
  const routes: Readonly<Record<string, RequestListener>> = {
    "POST /fetch": (request, response) => {
      const served = { node, request, response, outcome: new Outcome(node.config, "fetch") };
      requests.serve(new RelayedRequest(served, new FetchDoor(served)), served);
    },
    "POST /cancel": (request, response) => void serveCancel(node, request, response, parts),
    "POST /resolve": (request, response) => void serveResolve(node, request, response, parts),
    "POST /consumed": (request, response) => void peers.serve(request, response, "consumed"),
    "POST /consumed/read": (request, response) => void peers.serve(request, response, "consumed-read"),
    "GET /healthz": (_request, response) => {
      const { status, reason } = parts.health();
      // What stands in front of a node may answer in its place, without this.
      response.setHeader("Relay-Node", id);
      writeJson(response, status === "ok" ? 200 : 503, { status, node: id, reason });
    },
    "GET /whoami": (request, response) =>
      writeJson(response, 200, { address: plainAddress(request.socket.remoteAddress) }),
  };
  return (request, response) => {
    const { method = "", url = "" } = request;
    // Not under an upload that is refused: what of it comes after the close is answered by a reset, which overtakes the answer.
    if (node.draining && !hasBody(request)) response.shouldKeepAlive = false;
    const name = `${method} ${url}`;
    if (Object.hasOwn(routes, name)) routes[name]!(request, response);
    else if (url === "/stream") {
      const error = new RelayError("upgrade_required", "a stream is a WebSocket");
      writeFailure(response, error, { node: id }, UPGRADE_FIELDS);
    } else unknown(id, request, response);
  };
}

function unknown(node: string, request: IncomingMessage, response: ServerResponse): void {
  writeFailure(response, new RelayError("not_found", "no such route at a node"), { node });
  if (!request.complete) response.once("finish", () => request.destroy());
}
