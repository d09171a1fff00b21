import type { Context } from "hono";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseSeedListUrl } from "../protocol/seed-list.ts";
import { tunnelUrl } from "../protocol/targets.ts";
import { failureOf } from "./answers.ts";
import { askNodes } from "./ask-nodes.ts";
import { eligibleNodes, proveRequest, streamTo } from "./authorize.ts";
import { edgeOf } from "./edge.ts";
import { withHealth } from "./healthy.ts";
import type { Hosting } from "./hosting.ts";
import { RESOLVE_ANSWER_MAX_BYTES } from "./limits.ts";
import { reachTarget } from "./reach-target.ts";
import { readAtMost } from "./read-at-most.ts";
import { mayReach } from "./judge-target.ts";
import { permittedSeeds } from "./seeds.ts";

/**
 * Resolves `mongodb+srv://host` by a node's resolver, to the hosts that the client may reach.
 *
 * @throws RelayError as `proveRequest`, `eligibleNodes` and `askNodes`, and `token_method`, `token_framing`, `url_invalid`,
 *   `target_not_allowed`, `answer_invalid`
 */
export async function resolve(c: Context<Hosting>): Promise<Response> {
  const request = c.req.raw;
  const edge = edgeOf(c.env);
  const now = Math.floor(Date.now() / 1_000);
  const token = request.headers.get(WIRE.authorization);
  const { claims, client, key, rule } = await proveRequest(request, token, edge, c.env, now, "resolve");
  c.set("client", client);
  const { htm, url, framing = "none", node } = claims;
  if (htm !== "POST") throw new RelayError("token_method", `signed for ${htm}, this is asked for by POST`);
  if (framing !== "none") throw new RelayError("token_framing", `signed for ${framing}, there is no body`);
  const name = parseSeedListUrl(url);
  reachTarget(edge, c.env, "resolve", client, { kind: "seeds", name });
  const authorized = {
    client,
    claims,
    key,
    rule,
    framing,
    ...eligibleNodes(edge.config.nodes, client, node),
  };
  const { answer, code, timing } = await withHealth(c, edge, () =>
    askNodes(request, authorized, edge, c.get("clock"), {
      method: "POST",
      path: "/resolve",
      upload: { kind: "held", bytes: new Uint8Array() },
      repeatable: true,
      unseen: true,
      fields: [],
      signal: request.signal,
    }),
  );
  if (code !== null) return failureOf(answer, timing);
  const seeds = permittedSeeds(name, await jsonOf(answer), ({ host, port }) =>
    mayReach(streamTo(tunnelUrl(host, port)), client),
  );
  return c.json(seeds, 200, {
    [WIRE.status]: "target",
    [WIRE.node]: answer.headers.get(WIRE.node) ?? "",
    [WIRE.requestId]: claims.jti,
    [WIRE.timing]: timing,
    "Cache-Control": "no-store",
  });
}

async function jsonOf(answer: Response): Promise<unknown> {
  const bytes = await readAtMost(answer.body, RESOLVE_ANSWER_MAX_BYTES);
  try {
    return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as unknown);
  } catch {
    return undefined;
  }
}
