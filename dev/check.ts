import { createRelay, relayInfo } from "../client/index.ts";
import { isRelayError } from "../protocol/errors.ts";
import { throughProxy } from "./check-proxy.ts";
import { byRelayUrl } from "./check-relay-url.ts";
import { type Row, type Seen, strayFields } from "./check-row.ts";
import { takenAsWebhook } from "./check-webhook.ts";
import type { Stack } from "./stack.ts";

/**
 * Sends one signed request through each node, one through each node's proxy, one by a relay URL, one as a webhook that is stored and
 * delivered, and one that must be refused, prints what happened, and returns the exit code: 0 where every target saw its node's address and the refused one reached nobody.
 */
export async function runCheck(stack: Stack): Promise<number> {
  const rows = [];
  // One after the other: the times are to be those of a quiet machine.
  for (const node of stack.nodes) rows.push(await throughNode(stack, node.id, node.egress));
  for (const node of stack.nodes) {
    if (node.proxy?.https !== undefined) rows.push(await throughProxy(stack, node, node.proxy.https));
  }
  rows.push(await byRelayUrl(stack));
  rows.push(await takenAsWebhook(stack));
  rows.push(await refused(stack));
  print(rows);
  const wrong = rows.filter((row) => row.wrong !== undefined);
  for (const row of wrong) console.error(`holdfast: ${row.what}: ${row.wrong}`);
  console.log(wrong.length === 0 ? "\nall as it should be" : "\ncheck failed");
  return wrong.length === 0 ? 0 : 1;
}

async function throughNode({ relayUrl, target }: Stack, node: string, egress: string): Promise<Row> {
  const relay = createRelay(relayUrl, { node, egress: [egress] });
  const started = performance.now();
  try {
    const response = await relay.fetch(`${target}/check`, { method: "POST", body: "check" });
    const seen = (await response.json()) as Seen;
    const total = performance.now() - started;
    const info = relayInfo(response);
    const strays = strayFields(seen);
    let wrong: string | undefined;
    if (response.status !== 200) wrong = `the target answered ${response.status}`;
    else if (info?.node !== node) wrong = `${info?.node} made the call`;
    else if (seen.from !== egress) wrong = `the target saw ${seen.from}, not ${egress}`;
    else if (info.receipt?.egress !== egress) wrong = `its receipt names ${info.receipt?.egress}`;
    else if (strays.length > 0) wrong = `fields of the relay reached the target: ${strays.join(", ")}`;
    return {
      what: node,
      egress: seen.from,
      status: String(response.status),
      stages: stages({ ...info?.timing, total }),
      wrong,
    };
  } catch (error) {
    const status = isRelayError(error) ? error.code : "failed";
    return { what: node, egress: "-", status, stages: "-", wrong: (error as Error).message };
  }
}

/** The metadata address of many clouds: neither a target of the client's, nor an address a node would dial. */
async function refused({ relayUrl }: Stack): Promise<Row> {
  const started = performance.now();
  try {
    const response = await createRelay(relayUrl).fetch("http://169.254.169.254/latest/meta-data/");
    return {
      what: "refused",
      egress: "-",
      status: String(response.status),
      stages: "-",
      wrong: "a forbidden target was reached",
    };
  } catch (error) {
    const timing = isRelayError(error) ? error.timing : undefined;
    const isRight = isRelayError(error) && error.code === "target_not_allowed" && error.reached === "no";
    return {
      what: "refused",
      egress: "-",
      status: isRelayError(error) ? `${error.status} ${error.code}` : "failed",
      stages: stages({ ...timing, total: performance.now() - started }),
      wrong: isRight ? undefined : (error as Error).message,
    };
  }
}

function stages(timing: Readonly<Record<string, number>>): string {
  return Object.entries(timing)
    .map(([stage, ms]) => `${stage} ${ms.toFixed(1)}`)
    .join("  ");
}

function print(rows: readonly Row[]): void {
  const table = [
    ["node", "egress seen", "status", "milliseconds"],
    ...rows.map((row) => [row.what, row.egress, row.status, row.stages]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("   ")
        .trimEnd(),
    );
  }
}
