import { waitUntil } from "cloudflare:workers";
import { pathEntryOf } from "../protocol/observed.ts";
import type { Client } from "./clients.ts";
import { type Edge, type Env, registryCall, registryOf } from "./edge.ts";
import { type AllowList, judgeTarget, type Wanted } from "./judge-target.ts";
import { OBSERVED_GATHER_MS } from "./limits.ts";

/** The way in by which a target is asked for. */
export type Door = "fetch" | "url" | "stream" | "proxy" | "resolve" | "hook" | "delivery";

/**
 * Judges by `judgeTarget` whether a client may reach a target. Where its list is not enforced, a line tells of what that would
 * refuse, and the registry remembers what was used.
 *
 * @param token the list of the scope token that it is asked for under
 * @throws RelayError `target_not_allowed`
 */
export function reachTarget(
  edge: Edge,
  env: Env,
  door: Door,
  client: Client,
  wanted: Wanted,
  token?: AllowList,
): void {
  const { wouldDeny } = judgeTarget(wanted, client, token);
  if (client.mode !== "report") return;
  const target = targetOf(wanted);
  const method = wanted.kind === "request" ? wanted.method : undefined;
  // Neither path nor query: they may hold secrets.
  if (wouldDeny) {
    console.log(JSON.stringify({ decision: "would_deny", client: client.id, door, target, method }));
  }
  // What a name stands for is noted as it is dialled.
  if (wanted.kind === "seeds") return;
  const entry = method === undefined ? target : `${method} ${target}`;
  const path = wanted.kind === "request" ? (pathEntryOf(wanted.url) ?? null) : undefined;
  if (edge.observed.note(client.id, { entry, path, wouldDeny }, Date.now())) tellSoon(edge, env);
}

/** As an entry of `allow` names it. */
function targetOf(wanted: Wanted): string {
  if (wanted.kind === "tunnel") return `tcp://${wanted.target.authority}`;
  return wanted.kind === "seeds" ? `mongodb+srv://${wanted.name.host}` : wanted.url.origin;
}

/** Tells the registry what has been noted by then, in one call, however many requests noted it. */
function tellSoon(edge: Edge, env: Env): void {
  const now = Date.now();
  // A request whose runtime was ended took its turn with it.
  if (now - edge.tellingSince < 10 * OBSERVED_GATHER_MS) return;
  edge.tellingSince = now;
  const tell = async () => {
    await new Promise((done) => setTimeout(done, OBSERVED_GATHER_MS));
    edge.tellingSince = -Infinity;
    const seen = edge.observed.take(Date.now());
    try {
      await registryCall(() => registryOf(env).observe(seen));
    } catch (error) {
      edge.observed.giveBack(seen);
      console.error("what was used is not noted yet", error);
    }
  };
  waitUntil(tell());
}
