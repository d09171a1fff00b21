import { resolve } from "node:path";
import {
  DELIVERY_ID,
  DELIVERY_STATES,
  type DeliveryState,
  isOwner,
  type Owner,
} from "../../protocol/deliveries.ts";
import { DELIVERY_NAME_MAX } from "../../protocol/limits.ts";
import { UsageError } from "../command.ts";
import { DEFAULT_OUT } from "../commands/init.ts";
import { durationSeconds } from "../duration.ts";
import { FLAG, numberIn, readAction, TEXT } from "../records/arguments.ts";

/** Which deliveries are meant. Times are milliseconds since 1970. */
export interface Filter {
  readonly state?: DeliveryState;
  readonly lane?: string;
  readonly from?: number;
  readonly to?: number;
}

/** `holdfast deliveries` as it was asked for. */
export type DeliveriesArguments = {
  readonly dir: string;
  readonly json: boolean;
  readonly owner: Owner;
} & (
  | { readonly action: "list"; readonly filter: Filter; readonly limit: number }
  | { readonly action: "show"; readonly id: string }
  | { readonly action: "counts" }
  | { readonly action: "resume" }
  | { readonly action: "replay" | "purge"; readonly id: string }
  | { readonly action: "replay" | "purge"; readonly filter: Filter; readonly rate: number | undefined }
  | { readonly action: "skip"; readonly lane: string }
  | { readonly action: "pause"; readonly reason: string }
);

const OPTIONS = {
  out: { ...TEXT, short: "o" },
  json: FLAG,
  route: TEXT,
  client: TEXT,
  state: TEXT,
  lane: TEXT,
  since: TEXT,
  until: TEXT,
  limit: TEXT,
  rate: TEXT,
  reason: TEXT,
} as const;

type Option = keyof typeof OPTIONS;
type Values = ReturnType<typeof read>["values"];

const OWNER = ["route", "client"] as const;
const FILTER = ["state", "lane", "since", "until"] as const;

const TAKES: Readonly<Record<DeliveriesArguments["action"], readonly Option[]>> = {
  list: [...OWNER, ...FILTER, "limit", "json"],
  show: [...OWNER, "json"],
  counts: [...OWNER, "json"],
  replay: [...OWNER, ...FILTER, "rate"],
  purge: [...OWNER, ...FILTER, "rate"],
  skip: [...OWNER, "lane"],
  pause: [...OWNER, "reason"],
  resume: [...OWNER],
};

const DEFAULT_LIMIT = "50";
export const DEFAULT_REASON = "an operator paused it";

/**
 * @param now milliseconds since 1970
 * @throws UsageError
 */
export function parseDeliveriesArguments(args: readonly string[], now: number): DeliveriesArguments {
  const { action, values, words } = read(args);
  const common = {
    dir: resolve(values.out ?? DEFAULT_OUT),
    json: values.json ?? false,
    owner: ownerIn(values),
  };
  const id = deliveryIn(words, action);
  if (action === "show") {
    if (id === undefined) throw new UsageError("show takes one delivery's id, as list tells it");
    return { ...common, action, id };
  }
  if (action === "list") return { ...common, action, filter: filterIn(values, now), limit: limitIn(values) };
  if (action === "replay" || action === "purge") {
    const filter = filterIn(values, now);
    const rate = numberIn(values.rate ?? "", "--rate takes deliveries per second, a number above 0");
    if (id === undefined) return { ...common, action, filter: bounded(action, filter), rate };
    if (Object.keys(filter).length > 0 || rate !== undefined) {
      throw new UsageError(`${action} takes one delivery's id, or says which by options`);
    }
    return { ...common, action, id };
  }
  if (action === "skip") return { ...common, action, lane: laneIn(values, "skip takes --lane") };
  if (action === "pause") return { ...common, action, reason: values.reason ?? DEFAULT_REASON };
  return { ...common, action };
}

const read = (args: readonly string[]) => readAction(args, OPTIONS, TAKES);

function ownerIn({ route, client }: Values): Owner {
  const given = [
    ...(route === undefined ? [] : [`route:${route}`]),
    ...(client === undefined ? [] : [`client:${client}`]),
  ];
  const [owner, ...more] = given;
  if (!isOwner(owner) || more.length > 0) throw new UsageError("say whose: --route ID or --client ID");
  return owner;
}

const WITH_ID: ReadonlySet<string> = new Set(["show", "replay", "purge"]);

function deliveryIn([id, ...more]: readonly string[], action: string): string | undefined {
  if (id === undefined) return undefined;
  if (!WITH_ID.has(action)) {
    throw new UsageError(`${action} takes no delivery: say whose by --route or --client`);
  }
  if (more.length > 0 || !DELIVERY_ID.test(id)) {
    throw new UsageError(`${action} takes one delivery's id, as list tells it: dlv_…`);
  }
  return id;
}

function filterIn(values: Values, now: number): Filter {
  const { state, lane, since, until } = values;
  if (state !== undefined && !(DELIVERY_STATES as readonly string[]).includes(state)) {
    throw new UsageError(`--state takes ${DELIVERY_STATES.join(", ")}`);
  }
  return {
    ...(state !== undefined && { state: state as DeliveryState }),
    ...(lane !== undefined && { lane: laneIn(values, "") }),
    ...(since !== undefined && { from: momentIn("since", since, now) }),
    ...(until !== undefined && { to: momentIn("until", until, now) }),
  };
}

function laneIn({ lane }: Values, missing: string): string {
  if (lane === undefined) throw new UsageError(missing);
  if (lane === "" || lane.length > DELIVERY_NAME_MAX) {
    throw new UsageError(`--lane takes 1 to ${DELIVERY_NAME_MAX} characters`);
  }
  return lane;
}

/** A slip must not replay or purge everything. */
function bounded(action: "replay" | "purge", filter: Filter): Filter {
  if (action === "replay" && filter.state === undefined) {
    throw new UsageError("replay takes one delivery's id, or --state dead and what else narrows it");
  }
  if (
    action === "purge" &&
    filter.state === undefined &&
    filter.from === undefined &&
    filter.to === undefined
  ) {
    throw new UsageError("purge takes one delivery's id, or --state, --since or --until");
  }
  return filter;
}

/** `2h` ago, or a time as in 2026-11-28T12:00:00Z. */
function momentIn(name: string, text: string, now: number): number {
  const seconds = durationSeconds(text);
  if (seconds !== undefined) return Math.max(0, now - seconds * 1_000);
  const at = /^\d{4}-\d{2}-\d{2}(?:T.*(?:Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(at)) {
    throw new UsageError(`--${name} takes how long ago, as in 2h, or a time, as in 2026-11-28T12:00:00Z`);
  }
  return Math.max(0, at);
}

function limitIn({ limit = DEFAULT_LIMIT }: Values): number {
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new UsageError("--limit takes a number from 1 on");
  return Number(limit);
}
