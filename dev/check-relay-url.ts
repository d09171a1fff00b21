import { createScopeToken } from "../client/index.ts";
import { relayUrl, relayUrlAllow } from "../protocol/relay-urls.ts";
import { type Row, type Seen, strayFields } from "./check-row.ts";
import type { Stack } from "./stack.ts";

/** Sends a request by a relay URL, as software does that lets nothing be set but a base URL. */
export async function byRelayUrl({ relayUrl: holdfastUrl, edge, target, nodes }: Stack): Promise<Row> {
  const what = "relay URL";
  const started = performance.now();
  try {
    const allow = relayUrlAllow(target);
    const token = await createScopeToken(holdfastUrl, { act: "url", allow, ttlSeconds: 60 });
    const response = await fetch(`${relayUrl(edge, token, target)}/check?path`);
    const seen = (await response.json()) as Seen & { readonly url: string };
    const total = performance.now() - started;
    const strays = strayFields(seen);
    let wrong: string | undefined;
    if (response.status !== 200) wrong = `the answer was ${response.status}`;
    else if (seen.url !== "/check?path") wrong = `the target was asked for ${seen.url}`;
    else if (!nodes.some(({ egress }) => egress === seen.from)) wrong = `the target saw ${seen.from}`;
    else if (strays.length > 0) wrong = `fields of the relay reached the target: ${strays.join(", ")}`;
    const stages = `total ${total.toFixed(1)}`;
    return { what, egress: seen.from, status: String(response.status), stages, wrong };
  } catch (error) {
    return { what, egress: "-", status: "failed", stages: "-", wrong: (error as Error).message };
  }
}
