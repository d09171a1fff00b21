import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { PROXY_QUESTION_MAX_BYTES } from "../protocol/limits.ts";
import type { ProxyQuestion } from "../protocol/proxy-grants.ts";
import { digestOf } from "../protocol/tokens.ts";
import type { EdgeNode } from "./config.ts";
import type { Edge, Env } from "./edge.ts";
import { tellIssue } from "./issues.ts";
import { jsonOf } from "./json.ts";
import { proveNode } from "./prove-node.ts";
import { readAtMost } from "./read-at-most.ts";

const schema = z.strictObject({
  user: z.exactOptional(z.string()),
  credential: z.string(),
  target: z.string(),
});

/**
 * Reads what a node asks about a user of its proxy door: who asks is proven before a byte of the body is read.
 *
 * @param now seconds since 1970
 * @throws RelayError `node_unproven`, `rate_limited`, `edge_misconfigured`, `too_large`, `body_digest`, `request_invalid`
 */
export async function readProxyQuestion(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
): Promise<{ readonly node: EdgeNode; readonly question: ProxyQuestion }> {
  const { iss, digest } = await proveNode(request, edge, env, now, "authorize");
  if (Number(request.headers.get("content-length") ?? 0) > PROXY_QUESTION_MAX_BYTES) throw tooLarge();
  const body = await readAtMost(request.body, PROXY_QUESTION_MAX_BYTES);
  if (body === undefined) throw tooLarge();
  if (digest !== (await digestOf(body))) {
    throw new RelayError("body_digest", "the body is not the one that was signed");
  }
  const { data, error } = z.safeParse(schema, jsonOf(new TextDecoder().decode(body)));
  if (error !== undefined) {
    const problems = error.issues.map((issue) => `${issue.path.join(".") || "the body"} ${tellIssue(issue)}`);
    throw new RelayError("request_invalid", problems.join("; "));
  }
  return { node: edge.config.nodes.find(({ id }) => id === iss)!, question: data };
}

function tooLarge(): RelayError {
  return new RelayError("too_large", `a question has at most ${PROXY_QUESTION_MAX_BYTES} bytes`);
}
