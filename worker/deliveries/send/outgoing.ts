import { base64url } from "jose";
import { decodeSection } from "../../../protocol/envelope.ts";
import type { Field } from "../../../protocol/headers.ts";
import { parseTargetUrl } from "../../../protocol/targets.ts";
import type { Client } from "../../clients.ts";
import type { Edge, Env } from "../../edge.ts";
import type { StoredEvent, StoredRequest } from "../event.ts";
import { requestPlace } from "../seal-request.ts";
import { UnreadableError } from "./failure.ts";
import { hookUrl } from "./hook-url.ts";
import type { Unsigned } from "./sign.ts";

/** A stored request, opened, with those for whom it is sent. */
export interface Outgoing extends Unsigned {
  readonly client: Client;
  readonly url: string;
}

/**
 * Opens what is stored of an event, and looks up for whom it is sent: as they are now, not as they were when it was accepted.
 *
 * @param nowMs milliseconds since 1970
 * @throws UnsealError, UnreadableError, and RelayError `client_unknown`, `route_unknown`, `route_unreadable`,
 *   `registry_unavailable`
 */
export async function openEvent(event: StoredEvent, edge: Edge, env: Env, nowMs: number): Promise<Outgoing> {
  const route = event.kind === "hook" ? await edge.route(routeIdOf(event), env, nowMs) : undefined;
  const client = await edge.client(route?.client ?? event.client, env, nowMs);
  const sealing = await edge.sealing();
  const stored = readStored(await sealing.open(event.request, requestPlace(event.id)));
  return {
    client,
    url: route === undefined ? stored.url : hookUrl(route.target, stored.url),
    fields: fieldsOf(stored),
    signing: event.kind === "callback" ? "edge" : (route?.sign ?? []),
  };
}

function routeIdOf({ owner }: StoredEvent): string {
  return owner.slice(owner.indexOf(":") + 1);
}

function readStored(text: string): StoredRequest {
  const unreadable = new UnreadableError("its request is none of this version's");
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    // The parser's own error quotes what is secret.
    throw unreadable;
  }
  const { url, fields } = (stored ?? {}) as Partial<Record<keyof StoredRequest, unknown>>;
  if (typeof url !== "string" || typeof fields !== "string") throw unreadable;
  return { url, fields };
}

function fieldsOf({ fields }: StoredRequest): Field[] {
  try {
    return decodeSection(base64url.decode(fields));
  } catch (cause) {
    throw new UnreadableError("its fields can't be decoded", { cause });
  }
}

/** The URL as it is judged. */
export function wantedBy(method: string, url: string) {
  return { kind: "request", method, url: parseTargetUrl(url) } as const;
}
