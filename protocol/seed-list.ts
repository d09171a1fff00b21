import { RelayError } from "./errors.ts";
import { parseTunnelUrl } from "./targets.ts";

/** A name that stands for the hosts of a MongoDB deployment. */
export interface SeedListName {
  /** Lower case. */
  readonly host: string;
  /** The name without its first label: every host has to lie in there. */
  readonly parent: string;
}

/** What a node finds of such a name. */
export interface SeedList {
  readonly seeds: readonly Seed[];
  /** As the TXT record has them: `authSource=admin&replicaSet=rs0`; empty where there is none. */
  readonly options: string;
}

/** One host of a deployment. */
export interface Seed {
  readonly host: string;
  readonly port: number;
}

/**
 * Takes `mongodb+srv://host` apart: nothing behind the host, which has at least three labels, as the specification of the
 * initial DNS seed list discovery has it.
 *
 * @throws RelayError `url_invalid`
 * @example parseSeedListUrl("mongodb+srv://cluster0.ab1cd.mongodb.net").parent // "ab1cd.mongodb.net"
 */
export function parseSeedListUrl(url: string): SeedListName {
  const written = /^mongodb\+srv:\/\/([^/?#:@[\]]+)$/.exec(url)?.[1];
  if (written === undefined) throw invalid("is not of the form mongodb+srv://host");
  const { host } = parseTunnelUrl(`tcp://${written}:27017`);
  const [, ...labels] = host.split(".");
  if (labels.length < 2 || /^[0-9.]+$/.test(host)) throw invalid("names no host with at least three labels");
  return { host, parent: labels.join(".") };
}

function invalid(why: string): RelayError {
  return new RelayError("url_invalid", `the URL ${why}`);
}
