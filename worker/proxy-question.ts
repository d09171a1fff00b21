import * as z from "zod/mini";
import { PROXY_QUESTION_MAX_BYTES } from "../protocol/limits.ts";
import type { ProxyQuestion } from "../protocol/proxy-grants.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { parseBody } from "./issues.ts";
import { readNodeMessage } from "./node-message.ts";

const schema = z.strictObject({
  user: z.exactOptional(z.string()),
  credential: z.string(),
  target: z.string(),
});

/**
 * Reads what a node asks about a user of its proxy door.
 *
 * @param now seconds since 1970
 * @throws RelayError as `readNodeMessage`
 */
export async function readProxyQuestion(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
): Promise<{ readonly node: EdgeNode; readonly question: ProxyQuestion }> {
  const limits = { act: "authorize", maxBytes: PROXY_QUESTION_MAX_BYTES, now } as const;
  const { node, value } = await readNodeMessage(request, edge, env, limits);
  return { node, question: parseBody(schema, value) };
}
