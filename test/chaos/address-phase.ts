import { setTimeout as sleep } from "node:timers/promises";
import { createRelay, isRelayError, type Relay, relayInfo } from "../../client/index.ts";
import { HIDDEN_HOST, HIDDEN_NODE, HOSTS, TARGET_ORIGIN, UNLISTED } from "./hosts.ts";
import { BACK_MAX_SECONDS, NOTICE_MAX_SECONDS } from "./limits.ts";
import type { ChaosStack } from "./stack.ts";
import type { Watch } from "./watch.ts";

/** What a node behind a NAT did while its router showed the right address and a wrong one. */
export interface AddressResult {
  /** Behind the NAT with the right published address: what the target saw, or the failure. */
  readonly behindNat: string;
  /** Started while the router showed a wrong address: requests that were asked for, and how many came to the target. */
  readonly startedDrifted: { readonly asked: number; readonly arrived: number };
  /** From the repair of the address until the node served again; undefined where it did not in time. */
  readonly backAfterSeconds: number | undefined;
  /** The address changed while the node served. */
  readonly drifted: {
    /** Until it took itself out; undefined where it did not in time. */
    readonly noticedAfterSeconds: number | undefined;
    /** Requests that left from the wrong address until then. */
    readonly leftBefore: number;
    /** And after that. */
    readonly askedAfter: number;
    readonly leftAfter: number;
  };
}

/** Ids of requests that are made while a drift may not have been noticed yet. */
export const DRIFT_PREFIX = "drift-";

const ASK_EVERY_MS = 250;
const DRIFTED_ASKS = 12;

/** Runs beside the faults: the node behind the NAT has a client of its own and takes none of the load. */
export async function checkAddresses(stack: ChaosStack, watch: Watch): Promise<AddressResult> {
  const { network, nodes } = stack;
  const node = nodes.get(HIDDEN_NODE.id)!;
  const relay = createRelay(stack.hiddenUrl);
  const show = (address: string) => network.translate("nat", HIDDEN_HOST.address, address);

  const behindNat = await ask(relay, "hidden-nat");

  await node.remove("SIGKILL");
  await show(UNLISTED);
  node.start();
  await node.serving();
  for (let i = 0; i < DRIFTED_ASKS; i++) {
    await ask(relay, `hidden-started-${i}`);
    await sleep(ASK_EVERY_MS);
  }
  await show(HOSTS.nat);
  const backAfterSeconds = await until(
    async () => (await ask(relay, "hidden-back")) === HOSTS.nat,
    BACK_MAX_SECONDS,
  );
  const drifted = await drift(relay, show, watch);
  await watch.collect();
  return {
    behindNat,
    startedDrifted: { asked: DRIFTED_ASKS, arrived: count(watch, "hidden-started-") },
    backAfterSeconds,
    drifted,
  };
}

async function drift(
  relay: Relay,
  show: (address: string) => Promise<void>,
  watch: Watch,
): Promise<AddressResult["drifted"]> {
  await show(UNLISTED);
  let asked = 0;
  const noticedAfterSeconds = await until(async () => {
    const answer = await ask(relay, `${DRIFT_PREFIX}${asked++}`);
    return answer === "node_out_of_service" || answer === "no_node";
  }, NOTICE_MAX_SECONDS);
  for (let i = 0; i < DRIFTED_ASKS; i++) {
    await ask(relay, `hidden-noticed-${i}`);
    await sleep(ASK_EVERY_MS);
  }
  await show(HOSTS.nat);
  await watch.collect();
  return {
    noticedAfterSeconds,
    leftBefore: watch.arrivals.filter(({ id, from }) => id.startsWith(DRIFT_PREFIX) && from !== HOSTS.nat)
      .length,
    askedAfter: DRIFTED_ASKS,
    leftAfter: count(watch, "hidden-noticed-"),
  };
}

function count(watch: Watch, prefix: string): number {
  return watch.arrivals.filter(({ id }) => id.startsWith(prefix)).length;
}

/** Seconds until it is so, asked again and again; undefined where it takes too long. */
async function until(isSo: () => Promise<boolean>, maxSeconds: number): Promise<number | undefined> {
  const from = Date.now();
  while (Date.now() - from < maxSeconds * 1_000) {
    if (await isSo()) return (Date.now() - from) / 1_000;
    await sleep(ASK_EVERY_MS);
  }
  return undefined;
}

/** Makes one request; what the target saw of it, or the failure's code. */
async function ask(relay: Relay, id: string): Promise<string> {
  try {
    const response = await relay.fetch(`${TARGET_ORIGIN}/${id}`, { method: "POST", body: id });
    const { from } = (await response.json()) as { from: string };
    const egress = relayInfo(response)?.egress;
    return egress === from ? from : `Relay-Egress ${egress}, the target saw ${from}`;
  } catch (error) {
    return isRelayError(error) ? error.code : String(error);
  }
}
