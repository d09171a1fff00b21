import { RelayError } from "../protocol/errors.ts";
import type { Seed, SeedList, SeedListName } from "../protocol/seed-list.ts";
import { type AllowedTarget, parseTunnelUrl } from "../protocol/targets.ts";
import { SEEDS_MAX } from "./limits.ts";

/**
 * Whether a client may ask for a name at all: only where some host of its parent domain can be a tunnel's target. Else a
 * client could have any name asked for, and so have its bytes carried to any name server.
 */
export function mayAskFor({ parent }: SeedListName, allow: readonly AllowedTarget[]): boolean {
  const domain = `.${parent}`;
  return allow.some(
    ({ scheme, path, methods, host }) =>
      scheme !== "http" &&
      path === undefined &&
      methods === undefined &&
      (host === undefined || host.endsWith(domain) || (host.startsWith(".") && domain.endsWith(host))),
  );
}

/**
 * What a client is told of a node's answer: all hosts or none, and the options that a seed list's TXT record may hold.
 *
 * @param answer what the node said, of whatever shape
 * @param isTarget whether the client may open a stream to a host that was found
 * @throws RelayError `answer_invalid`, `target_not_allowed`, which tells nothing of what was found
 */
export function permittedSeeds(
  name: SeedListName,
  answer: unknown,
  isTarget: (seed: Seed) => boolean,
): SeedList {
  const { seeds, options } = (typeof answer === "object" && answer !== null ? answer : {}) as {
    readonly seeds?: unknown;
    readonly options?: unknown;
  };
  if (
    !Array.isArray(seeds) ||
    seeds.length === 0 ||
    seeds.length > SEEDS_MAX ||
    typeof options !== "string"
  ) {
    throw new RelayError("answer_invalid", "the node's answer is no seed list", { reached: "no" });
  }
  const found = seeds.map((seed: unknown) => seedOf(seed));
  const isPermitted = (seed: Seed | undefined) =>
    seed !== undefined && seed.host.endsWith(`.${name.parent}`) && isTarget(seed);
  if (!found.every(isPermitted)) {
    const why = `a host of ${name.host} lies outside ${name.parent}, or is no target of the client's`;
    throw new RelayError("target_not_allowed", why);
  }
  return { seeds: found as Seed[], options: permittedOptions(options) };
}

/** A host and port in canonical form; undefined for whatever else a name server may say. */
function seedOf(value: unknown): Seed | undefined {
  const { host, port } = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (typeof host !== "string" || typeof port !== "number") return undefined;
  try {
    const target = parseTunnelUrl(`tcp://${host.replace(/\.$/, "")}:${port}`);
    return { host: target.host, port: target.port };
  } catch {
    return undefined;
  }
}

/** What a TXT record may set, each once, with nothing in the value that a connection string would read otherwise. */
const OPTION = /^(authSource|replicaSet|loadBalanced)=[\w.~$%-]+$/;

function permittedOptions(options: string): string {
  const kept = new Map<string, string>();
  for (const option of options.split("&")) {
    const name = OPTION.exec(option)?.[1];
    if (name !== undefined && !kept.has(name)) kept.set(name, option);
  }
  return [...kept.values()].join("&");
}
