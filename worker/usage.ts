import type { Context } from "hono";
import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { CLIENT_ID } from "../protocol/keys.ts";
import { USAGE_REPORT_MAX_BYTES, USAGE_REPORT_MAX_TOTALS } from "../protocol/limits.ts";
import { REQUEST_ID } from "../protocol/tokens.ts";
import { USAGE_MONTH, type UsageAnswer } from "../protocol/usage.ts";
import { edgeOf, registryCall, registryOf } from "./edge.ts";
import type { Hosting } from "./hosting.ts";
import { parseBody } from "./issues.ts";
import { USAGE_EPOCHS_MAX } from "./limits.ts";
import { readNodeMessage } from "./node-message.ts";

const count = z.int().check(z.nonnegative("must be a whole number of 0 or more"));

const schema = z.strictObject({
  epoch: z.string().check(z.regex(REQUEST_ID, "must be 22 characters of base64url")),
  totals: z
    .array(
      z.strictObject({
        month: z.string().check(z.regex(USAGE_MONTH, "must be a month, as in 2026-11")),
        client: z.string().check(z.regex(CLIENT_ID, "must be a client's id")),
        requests: count,
        refusals: count,
        streams: count,
        streamSeconds: count,
        bytesUp: count,
        bytesDown: count,
      }),
    )
    .check(z.maxLength(USAGE_REPORT_MAX_TOTALS, `must hold at most ${USAGE_REPORT_MAX_TOTALS}`)),
});

/**
 *   node ──what it counted since its epoch began, signed──▶ edge ──▶ registry
 *   node ◀──────────── clients over a hard limit ───────────┘
 *
 * Takes a node's report: its rows are the node's own, whatever it says.
 *
 * @throws RelayError as `readNodeMessage`, `registry_unavailable`
 */
export async function takeUsage(c: Context<Hosting>): Promise<Response> {
  const edge = edgeOf(c.env);
  const nowMs = Date.now();
  const { node, value } = await readNodeMessage(c.req.raw, edge, c.env, {
    act: "usage",
    maxBytes: USAGE_REPORT_MAX_BYTES,
    now: Math.floor(nowMs / 1_000),
  });
  const report = parseBody(schema, value);
  const noted = await registryCall(() => registryOf(c.env).noteUsage(node.id, report, nowMs));
  if (noted === null) {
    const why = `${node.id} has begun its counters anew more than ${USAGE_EPOCHS_MAX} times: its state is lost again and again`;
    throw new RelayError("request_invalid", why);
  }
  for (const { client, limit, measure, used } of noted.crossed) {
    console.warn(`quota: ${client} is over its ${limit} limit of ${measure}, with ${used}`);
  }
  const answer: UsageAnswer = { over: noted.over };
  return c.json(answer, 200, { "Cache-Control": "no-store" });
}
