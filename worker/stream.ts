import { type Context, Hono } from "hono";
import { errorFromProblem, RelayError } from "../protocol/errors.ts";
import { failureOf } from "./answers.ts";
import { askNodes } from "./ask-nodes.ts";
import type { Authorized } from "./authorize.ts";
import { authorizeScopedStream, authorizeStream } from "./authorize-stream.ts";
import { edgeOf } from "./edge.ts";
import { withHealth } from "./healthy.ts";
import type { Hosting } from "./hosting.ts";
import { tellable } from "./tellable.ts";
import { readUpgrade, resetInBand, type Upgrade } from "./upgrade.ts";

/** TCP to one target by a WebSocket. */
export const stream = new Hono<Hosting>();

stream.all("/", async (c) => {
  const upgrade = readUpgrade(c.req.raw);
  try {
    const now = Math.floor(Date.now() / 1_000);
    const edge = edgeOf(c.env);
    return await open(c, upgrade, await authorizeStream(c.req.raw, upgrade.authorization, edge, c.env, now));
  } catch (error) {
    if (!upgrade.inBand) throw error;
    return resetInBand(tellable(error));
  }
});

// A caller with a token in its URL is mostly a WebSocket interface in a worker, which can read an HTTP answer.
stream.all("/:credential", async (c) => {
  const upgrade = readUpgrade(c.req.raw);
  const now = Math.floor(Date.now() / 1_000);
  const { credential } = c.req.param();
  const [address, ...more] = c.req.queries("address") ?? [];
  if (more.length > 0) throw new RelayError("request_invalid", "say one address");
  const edge = edgeOf(c.env);
  return open(c, upgrade, await authorizeScopedStream(c.req.raw, credential, address, edge, c.env, now));
});

/**
 *   caller ──WebSocket──▶ edge ──WebSocket + grant──▶ node ──TCP──▶ target
 *
 * The node dials before it answers, or waits for the caller's word where the token says `park`, and its answer is the edge's: no code of the edge's stands in the stream.
 */
async function open(c: Context<Hosting>, upgrade: Upgrade, authorized: Authorized): Promise<Response> {
  const { protocol, inBand } = upgrade;
  c.set("client", authorized.client);
  const edge = edgeOf(c.env);
  const { signal, established } = untilEstablished(c.req.raw.signal);
  const { answer, code, timing } = await withHealth(c, edge, () =>
    askNodes(c.req.raw, authorized, edge, c.get("clock"), {
      method: "GET",
      path: "/stream",
      upload: { kind: "held", bytes: new Uint8Array() },
      repeatable: true,
      // To a stream that goes on bytes may have come before.
      unseen: authorized.claims.resume === undefined,
      fields: [
        ["Upgrade", "websocket"],
        ...(protocol === undefined ? [] : [["Sec-WebSocket-Protocol", protocol] as const]),
      ],
      signal,
    }),
  );
  established();
  if (code === null) {
    if (answer.status !== 101) {
      throw new RelayError("node_failed", `the node answered ${answer.status}, not 101`);
    }
    return answer;
  }
  if (inBand) throw errorFromProblem(code, await answer.text(), answer.headers);
  return failureOf(answer, timing);
}

/** A caller that goes away takes the dial with it. What is established is ended by its own ends alone. */
function untilEstablished(caller: AbortSignal): { signal: AbortSignal; established: () => void } {
  const dial = new AbortController();
  const leave = () => dial.abort(caller.reason);
  if (caller.aborted) leave();
  caller.addEventListener("abort", leave, { once: true });
  return { signal: dial.signal, established: () => caller.removeEventListener("abort", leave) };
}
