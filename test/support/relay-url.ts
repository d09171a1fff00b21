import { adminCall } from "../../client/admin.ts";
import { createScopeToken, type ScopeOptions } from "../../client/index.ts";
import type { Framing } from "../../protocol/claims.ts";
import type { Field } from "../../protocol/headers.ts";
import type { Bench } from "./fidelity.ts";
import { EdgeCall } from "./raw-caller.ts";

/** A token for the relay URL of a bench's origin, or for what else is said. */
export function urlToken(bench: Bench, options: Partial<ScopeOptions> = {}): Promise<string> {
  return createScopeToken(bench.relayUrl, {
    act: "url",
    allow: [bench.tls.url],
    ttlSeconds: 600,
    ...options,
  });
}

/** A handle of a scope token, with the id that it is revoked by. */
export async function newHandle({ stack }: Bench, token: string): Promise<{ id: string; handle: string }> {
  const { value } = await adminCall(stack.operator, "POST", "/admin/handles", { body: { token } });
  return value as { id: string; handle: string };
}

/** A call by a relay URL as any program makes it: nothing signed, nothing enveloped. */
export interface UrlCall {
  readonly method?: string;
  /** Path and query at the edge. */
  readonly path: string;
  readonly fields?: readonly Field[];
  readonly framing?: Framing;
  readonly body?: string;
}

/** What came back, its fields without the relay's own. */
export async function callUrl(edge: string, call: UrlCall) {
  const { method = "GET", path, fields = [], body } = call;
  const framing = call.framing ?? body?.length ?? "none";
  const edgeCall = await EdgeCall.begin(edge, { method, fields, framing }, path);
  if (body !== undefined) await edgeCall.send(body);
  if (framing === "chunked") edgeCall.finish();
  const head = await edgeCall.head;
  await edgeCall.ended;
  edgeCall.destroy();
  const all = (name: string) =>
    head.fields.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
  const field = (name: string): string | undefined => all(name)[0];
  return { head, status: Number(head.start.slice(9, 12)), body: edgeCall.body, all, field };
}
