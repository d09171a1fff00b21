import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { RelayError, withReached } from "../protocol/errors.ts";
import { verifyGrant } from "../protocol/grants.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseSeedListUrl, type SeedList } from "../protocol/seed-list.ts";
import { markFields, writeFailure } from "./answer.ts";
import { beginBody } from "./begin.ts";
import { Call, rounded } from "./call.ts";
import type { NodeContext } from "./context.ts";
import { enter } from "./enter.ts";
import { asRelayError } from "./failure.ts";
import type { Metrics } from "./metrics.ts";

/** Answers `POST /resolve`: which hosts a `mongodb+srv` name stands for. It counts as a request of its client's. */
export async function serveResolve(
  node: NodeContext,
  request: IncomingMessage,
  response: ServerResponse,
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
): Promise<void> {
  const call = new ResolveCall(node.config);
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) {
      gone.abort(new RelayError("answer_cut", "the caller went away", { reached: "no" }));
    }
  });
  try {
    const found = await resolve(node, request, call, gone);
    const body = JSON.stringify(found);
    call.count(node.usage);
    response.writeHead(200, [
      WIRE.status,
      "target",
      ...markFields(call.marks),
      "Content-Type",
      "application/json",
      "Cache-Control",
      "no-store",
      "Content-Length",
      String(Buffer.byteLength(body)),
    ]);
    response.end(body);
  } catch (error) {
    call.error = asRelayError(error);
    call.failed();
    call.count(node.usage);
    if (!response.destroyed) writeFailure(response, call.error, call.marks);
    if (!request.complete) response.once("finish", () => request.destroy());
  }
  call.tell(log, metrics);
}

async function resolve(
  node: NodeContext,
  request: IncomingMessage,
  call: ResolveCall,
  gone: AbortController,
): Promise<SeedList> {
  const { config, grantKeys, seeds } = node;
  const { signal } = gone;
  const grant = request.headers[WIRE.authorization] as string | undefined;
  const context = { edge: config.edge, nodeId: config.id, keys: grantKeys, now: node.now() };
  const claims = verifyGrant(grant, context, "resolve");
  call.claims = claims;
  const name = parseSeedListUrl(claims.url);
  if (claims.framing !== "none") throw new RelayError("token_framing", "there is no body to be sent here");
  node.assertServing(true);
  signal.throwIfAborted();
  const slot = enter(node, claims, "request", (error) => gone.abort(withReached(error, "no")));
  try {
    await beginBody(node, request, claims, slot);
    call.lap("node_queue");
    return await seeds.resolve(name, signal);
  } finally {
    if (call.timings.node_queue !== undefined) call.lap("dns");
    slot.leave();
  }
}

/** What is known of one look-up, told at its end. */
class ResolveCall extends Call {
  tell(log: Logger, metrics: Metrics): void {
    const { totalMs, error } = this;
    metrics.finished(error?.code ?? "resolved", 0, 0, totalMs, this.timings);
    const decision = error === undefined ? "resolved" : "refused";
    const ms = rounded({ ...this.timings, total: totalMs });
    this.write(log, { door: "resolve", ...this.line, decision, ms }, "request");
  }
}
