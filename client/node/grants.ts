import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { RelayError, withReached } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { GRANT_MAX_BYTES } from "../../protocol/limits.ts";
import { keepAsWanted } from "./keep-alive.ts";
import {
  GRANTS_IDLE_CONNECTIONS,
  GRANTS_IDLE_MS,
  GRANTS_MAX,
  GRANTS_MAX_BYTES,
  GRANTS_MS,
} from "./limits.ts";
import { readAtMost, readRefusal } from "./refusal.ts";

/** Leave to ask one node for one stream, once, within 30 s. */
export interface NodeGrant {
  readonly node: string;
  /** The node's origin. */
  readonly url: string;
  /** A secret until it is used. */
  readonly grant: string;
}

/** A question for grants that is under way. */
export interface GrantsCall {
  /** In the order in which they are to be tried. Rejects with a RelayError. */
  readonly grants: Promise<readonly NodeGrant[]>;
  /** Gives it up. */
  terminate(): void;
  /** Whether it alone keeps a process alive. */
  keepAlive(isWanted: boolean): void;
}

/** Where an edge is asked for grants, by connections that are kept for the next question. */
export class GrantsDesk {
  #agent: http.Agent | undefined;

  /**
   * Asks for grants: `POST /grants` with a request token whose act is `stream`. Rejects as the edge refuses, with
   * `edge_unreachable` or `edge_failed` where nothing of its own comes, `answer_invalid` where that can't be read. Nothing is begun
   * by it, so that `reached` is `no`.
   */
  ask(edge: string, token: string): GrantsCall {
    const { promise: grants, resolve, reject } = Promise.withResolvers<readonly NodeGrant[]>();
    const { Agent, request: open } = edge.startsWith("https:") ? https : http;
    this.#agent ??= new Agent({
      keepAlive: true,
      maxFreeSockets: GRANTS_IDLE_CONNECTIONS,
      timeout: GRANTS_IDLE_MS,
    });
    const agent = this.#agent;
    let request: ClientRequest;
    let connection: Socket | undefined;
    let isKept = true;
    /** Nothing more is to be sent. */
    let isOver = false;
    const fail = (cause: Error) => {
      reject(new RelayError("edge_unreachable", `${edge} gave no grants`, { cause, reached: "no" }));
    };
    const late = setTimeout(() => {
      isOver = true;
      request.destroy(new Error(`no answer within ${GRANTS_MS} ms`));
    }, GRANTS_MS).unref();
    const send = () => {
      request = open(`${edge}/grants`, {
        method: "POST",
        agent,
        headers: { [WIRE.authorization]: `Bearer ${token}`, "Content-Length": 0 },
      });
      request.once("socket", (made) => {
        connection = made;
        keepAsWanted(made, () => isKept);
      });
      request.once("response", (response) => {
        isOver = true;
        readGrants(response).then(resolve, reject);
      });
      request.on("error", (cause) => {
        // A connection that was kept may have been closed at its other end meanwhile; the next one is another, at last a new one.
        if (request.reusedSocket && !isOver) send();
        else fail(cause);
      });
      request.end();
    };
    send();
    const settled = () => clearTimeout(late);
    grants.then(settled, settled);
    return {
      grants,
      terminate: () => {
        isOver = true;
        request.destroy();
      },
      keepAlive: (isWanted) => {
        isKept = isWanted;
        if (isWanted) connection?.ref();
        else connection?.unref();
      },
    };
  }

  /** Closes the connections that are kept: where a path has broken, they may be as dead. */
  forgetConnections(): void {
    const kept = Object.values(this.#agent?.freeSockets ?? {}).flatMap((sockets) => sockets ?? []);
    for (const socket of kept) socket.destroy();
  }
}

async function readGrants(response: IncomingMessage): Promise<readonly NodeGrant[]> {
  if (response.statusCode !== 200) {
    const { error } = await readRefusal(response);
    response.resume();
    throw withReached(error, "no");
  }
  const text = await readAtMost(response, GRANTS_MAX_BYTES);
  if (text.length <= GRANTS_MAX_BYTES && !response.complete) {
    throw new RelayError("edge_unreachable", "the edge's answer to POST /grants broke off", {
      reached: "no",
    });
  }
  return parseGrants(text);
}

/**
 * Reads the edge's answer. What is wrong with it is told without a word of it: it holds grants.
 *
 * @throws RelayError `answer_invalid`
 */
export function parseGrants(text: string): readonly NodeGrant[] {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    // The parser's own message shows a piece of what it read.
    throw invalid("is no JSON");
  }
  const { grants } = (answer ?? {}) as { readonly grants?: unknown };
  if (!Array.isArray(grants) || grants.length === 0 || grants.length > GRANTS_MAX) {
    throw invalid(`holds no grants, or more than ${GRANTS_MAX}`);
  }
  return (grants as unknown[]).map((one) => {
    const { node, url, grant } = (one ?? {}) as Partial<Record<keyof NodeGrant, unknown>>;
    if (typeof node !== "string" || typeof url !== "string" || typeof grant !== "string") {
      throw invalid("has a grant without node, url or grant");
    }
    const origin = URL.parse(url);
    // Nobody is to read it on the way.
    if (origin?.protocol !== "https:" || origin.origin !== url) {
      throw invalid("names a url that is no https origin");
    }
    if (grant.length > GRANT_MAX_BYTES || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(grant)) {
      throw invalid("has a grant that is no compact JWS");
    }
    return { node, url, grant };
  });
}

function invalid(why: string): RelayError {
  return new RelayError("answer_invalid", `the edge's answer to POST /grants ${why}`, { reached: "no" });
}
