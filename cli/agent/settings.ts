import { join } from "node:path";
import { isRelayError } from "../../client/index.ts";
import { parseHosts } from "../../client/hosts.ts";
import { isVia, type Via, VIAS } from "../../client/node/via.ts";
import { UsageError } from "../command.ts";
import { authorityOf, type Destination, parseDestinations } from "./destinations.ts";
import { type FileSettings, parseHoldfastToml } from "./holdfast-toml.ts";
import { NAME_WAYS, type NameWay } from "./name-map.ts";
import { parseQgtunnelToml } from "./qgtunnel-toml.ts";

/** All that the agent is told, complete. The relay itself is in HOLDFAST_URL alone. */
export interface Settings {
  readonly destinations: readonly Destination[];
  /** Hosts of `mongodb+srv://` URLs: each stands for the destinations that its records name. */
  readonly services: readonly string[];
  /** Whose HTTP(S) goes through the local proxies: exact hosts, or `*.suffix`. */
  readonly hosts: readonly string[];
  /** Environment variables in which a destination's host may be rewritten. */
  readonly env: readonly string[];
  readonly names: NameWay;
  /** How nodes are come to. */
  readonly via: Via;
  /** Whether paths are opened ahead of connections. */
  readonly ahead: boolean;
  /** What is worth telling: what was ignored. */
  readonly notes: readonly string[];
}

/** The options of the command line that speak of destinations; each may be repeated and may hold a list. */
export interface SettingsFlags {
  readonly to?: readonly string[] | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly names?: string | undefined;
  readonly via?: string | undefined;
  readonly config?: string | undefined;
}

/** Where settings come from beside the flags. */
export interface SettingsSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A file's text; undefined where there is none. */
  readonly readFile: (path: string) => string | undefined;
  readonly folder: string;
}

/** One place that may name destinations; the first that does is taken, whole. */
interface Named {
  readonly destinations: readonly Destination[];
  readonly services: readonly string[];
}

/**
 * Settles what the agent does. Each of destinations, hosts, variables and ways is taken whole from the first source that names it:
 * flags, HOLDFAST_ variables, `holdfast.toml`, QGTUNNEL_DESTINATIONS, `.qgtunnel`.
 *
 * @throws UsageError with every problem in it, a line each
 * @example readSettings({ to: ["db.example.com:5432"] }, { env: process.env, readFile, folder: process.cwd() })
 */
export function readSettings(flags: SettingsFlags, { env, readFile, folder }: SettingsSources): Settings {
  const problems: string[] = [];
  const notes: string[] = [];
  const file = readConfig(flags.config ?? given(env["HOLDFAST_CONFIG"]), folder, readFile, problems);
  const named =
    fromLists("--to", flags.to, problems) ??
    fromLists("HOLDFAST_DESTINATIONS", wrapped(env["HOLDFAST_DESTINATIONS"]), problems) ??
    fromFile(file) ??
    fromLists("QGTUNNEL_DESTINATIONS", wrapped(env["QGTUNNEL_DESTINATIONS"]), problems) ??
    fromQgtunnel(join(folder, ".qgtunnel"), readFile, problems, notes);
  const hosts = list(flags.hosts) ?? list(wrapped(env["HOLDFAST_HOSTS"])) ?? file.hosts ?? [];
  try {
    parseHosts(hosts);
  } catch (cause) {
    if (!isRelayError(cause)) throw cause;
    problems.push(cause.detail);
  }
  const variables = list(flags.env) ?? file.env ?? [];
  for (const name of variables.filter((one) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(one))) {
    // A value given in a name's place may hold a password.
    problems.push(
      /[:@/=]/.test(name) ? "--env takes names of variables, not their values" : `--env ${name} is no name`,
    );
  }
  const names = flags.names ?? file.names ?? "auto";
  if (!isNameWay(names)) problems.push(`--names ${names} is none of ${NAME_WAYS.join(", ")}`);
  const via = viaOf(flags.via, env, file, problems);
  const destinations = distinct(named?.destinations ?? []);
  if (problems.length > 0) throw new UsageError(problems.join("\n  "));
  return {
    destinations,
    services: [...new Set(named?.services)],
    hosts,
    env: [...new Set(variables)],
    names: names as NameWay,
    via,
    ahead: file.ahead ?? true,
    notes,
  };
}

/**
 * Settles how nodes are come to, for what is told of its destinations otherwise.
 *
 * @throws UsageError where it is none of the ways, or `holdfast.toml` has a fault
 */
export function readVia(
  flags: Pick<SettingsFlags, "via" | "config">,
  { env, readFile, folder }: SettingsSources,
): Via {
  const problems: string[] = [];
  const file = readConfig(flags.config ?? given(env["HOLDFAST_CONFIG"]), folder, readFile, problems);
  const via = viaOf(flags.via, env, file, problems);
  if (problems.length > 0) throw new UsageError(problems.join("\n  "));
  return via;
}

function viaOf(
  flag: string | undefined,
  env: SettingsSources["env"],
  file: FileSettings,
  problems: string[],
): Via {
  const variable = given(env["HOLDFAST_VIA"]);
  const via = flag ?? variable ?? file.via ?? "edge";
  if (isVia(via)) return via;
  problems.push(`${flag === undefined ? "HOLDFAST_VIA" : "--via"} ${via} is none of ${VIAS.join(", ")}`);
  return "edge";
}

function readConfig(
  asked: string | undefined,
  folder: string,
  readFile: SettingsSources["readFile"],
  problems: string[],
): FileSettings {
  const text = readFile(asked ?? join(folder, "holdfast.toml"));
  if (text !== undefined) return parseHoldfastToml(text, asked ?? "holdfast.toml", problems);
  if (asked !== undefined) problems.push(`${asked} does not exist`);
  return {};
}

function fromLists(
  source: string,
  lists: readonly string[] | undefined,
  problems: string[],
): Named | undefined {
  if (lists === undefined || lists.length === 0) return undefined;
  const destinations: Destination[] = [];
  const services: string[] = [];
  for (const one of lists) {
    try {
      const read = parseDestinations(one);
      destinations.push(...read.destinations);
      services.push(...read.services);
    } catch (cause) {
      problems.push(`${source}: ${(cause as Error).message}`);
    }
  }
  return { destinations, services };
}

function fromFile({ destinations, services = [] }: FileSettings): Named | undefined {
  return destinations === undefined ? undefined : { destinations, services };
}

function fromQgtunnel(
  path: string,
  readFile: SettingsSources["readFile"],
  problems: string[],
  notes: string[],
): Named | undefined {
  const text = readFile(path);
  if (text === undefined) return undefined;
  return { destinations: parseQgtunnelToml(text, ".qgtunnel", problems, notes), services: [] };
}

/** The same host and port twice is one destination, unless it is listened for at two places. */
function distinct(destinations: readonly Destination[]): Destination[] {
  const key = (one: Destination) => `${authorityOf(one)} ${one.listen?.address} ${one.listen?.port}`;
  return [...new Map(destinations.map((one) => [key(one), one])).values()];
}

function list(values: readonly string[] | undefined): string[] | undefined {
  const items = values?.flatMap((one) => one.split(",")).map((one) => one.trim());
  const filled = items?.filter((one) => one !== "");
  return filled === undefined || filled.length === 0 ? undefined : filled;
}

function wrapped(value: string | undefined): string[] | undefined {
  return given(value) === undefined ? undefined : [value!];
}

/** An empty variable is one that was taken back. */
function given(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value;
}

function isNameWay(text: string): text is NameWay {
  return (NAME_WAYS as readonly string[]).includes(text);
}
