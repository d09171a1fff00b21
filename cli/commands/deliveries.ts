import type { Operator } from "../../client/admin.ts";
import type { DeliveryRow } from "../../protocol/deliveries.ts";
import { type Command, EXIT } from "../command.ts";
import { tell } from "../credential.ts";
import { type DeliveriesArguments, type Filter, parseDeliveriesArguments } from "../deliveries/arguments.ts";
import {
  countDeliveries,
  listDeliveries,
  purgeDelivery,
  readDelivery,
  replayDelivery,
  skipHead,
  sweepDeliveries,
} from "../deliveries/calls.ts";
import { pause, resume, tellOlderPause, tellPause } from "../deliveries/hold.ts";
import { countsText, listText, showText } from "../deliveries/tell.ts";
import { readOperator } from "../init/operator.ts";
import { reportFailure } from "../report.ts";
import { json, moment } from "../table.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast deliveries list OWNER [filter] [--limit N] [--json]
       holdfast deliveries show ID OWNER [--json]
       holdfast deliveries counts OWNER [--json]
       holdfast deliveries replay ID|filter OWNER [--rate N]
       holdfast deliveries purge ID|filter OWNER [--rate N]
       holdfast deliveries skip --lane LANE OWNER
       holdfast deliveries pause OWNER [--reason TEXT]
       holdfast deliveries resume OWNER

What was accepted for a route, or handed over by a client, and what became of it. Signed with the deployment's operator key; each
change is written down (holdfast audit).

OWNER is --route ID or --client ID.

list tells the latest first. show tells one with its attempts and the first 4 kB of its target's last answer, as text or in hex.
counts tells how many were accepted, and how many of these were delivered, are pending, dead or purged.
replay makes deliveries again that have ended, with all of their attempts; one that is pending is tried at once. purge removes them
for good. Of many, both take --state or a time, and go on by themselves at --rate.
skip gives up the first of a lane, so that those behind it go on; replay makes it again.
pause keeps deliveries from being made, and nothing from being accepted. resume ends that, and whatever else had paused them.

      --route ID       a route's
      --client ID      a client's own
      --state STATE    filter: pending, delivered or dead
      --lane LANE      filter: of one lane
      --since TIME     filter: accepted since: as in 2h, for two hours ago, or 2026-11-28T12:00:00Z
      --until TIME     filter: accepted before
      --limit N        list: how many; default 50
      --rate N         replay, purge: deliveries per second, over all; default 20
      --reason TEXT    pause: why
      --json           as JSON
  -o, --out DIR        the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 it can't be done, 2 wrong usage.
`;

/** `holdfast deliveries`: what was accepted, and what became of it. */
export const deliveriesCommand: Command = {
  help,
  run: async (args) => {
    const asked = parseDeliveriesArguments(args, Date.now());
    try {
      await act(await readOperator(asked.dir), asked);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function act(operator: Operator, asked: DeliveriesArguments): Promise<void> {
  const { owner } = asked;
  const write = (value: unknown, text: () => string) =>
    process.stdout.write(asked.json ? json(value) : text());
  if (asked.action === "list") {
    const rows = await listDeliveries(operator, owner, asked.filter, asked.limit);
    write(rows, () => listText(rows));
    if (rows.length === asked.limit) tell(`there may be more: --limit takes more than ${asked.limit}`);
    if (rows.some(isPending)) await tellOlderPause(operator, owner);
  } else if (asked.action === "show") {
    const detail = await readDelivery(operator, owner, asked.id);
    write(detail, () => showText(detail));
    if (isPending(detail)) await tellOlderPause(operator, owner);
  } else if (asked.action === "counts") {
    const counts = await countDeliveries(operator, owner);
    write(counts, () => countsText(counts));
  } else if (asked.action === "skip") {
    tell(`${await skipHead(operator, owner, asked.lane)} is given up, and its lane goes on`);
  } else if (asked.action === "pause") {
    await pause(operator, owner, asked.reason);
  } else if (asked.action === "resume") {
    await resume(operator, owner);
  } else if ("filter" in asked) {
    const { action, filter } = asked;
    const { rate, pause: found } = await sweepDeliveries(operator, owner, {
      act: action,
      filter,
      rate: asked.rate,
    });
    tell(
      `${action} of what is ${filterText(filter)} has begun, ${rate} per second; \`counts\` tells how it goes`,
    );
    if (action === "replay") tellPause(owner, found);
  } else if (asked.action === "replay") {
    const found = await replayDelivery(operator, owner, asked.id);
    tell(`${asked.id} is pending, and tried at once`);
    tellPause(owner, found);
  } else {
    await purgeDelivery(operator, owner, asked.id);
    tell(`${asked.id} is purged`);
  }
}

function isPending({ state }: DeliveryRow): boolean {
  return state === "pending";
}

function filterText({ state, lane, from, to }: Filter): string {
  return [
    state ?? "in any state",
    ...(lane === undefined ? [] : [`in the lane ${lane}`]),
    ...(from === undefined ? [] : [`accepted since ${moment(Math.floor(from / 1_000))}`]),
    ...(to === undefined ? [] : [`accepted before ${moment(Math.floor(to / 1_000))}`]),
  ].join(", ");
}
