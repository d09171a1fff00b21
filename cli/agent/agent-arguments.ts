import { readFileSync } from "node:fs";
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { createSigner } from "../../client/signer.ts";
import { UsageError } from "../command.ts";
import { isRelayError } from "../../client/index.ts";
import type { Via } from "../../client/node/via.ts";
import { readSettings, readVia, type Settings, type SettingsFlags } from "./settings.ts";

/** The options that say what goes by the relay. */
export const SETTINGS_OPTIONS = {
  to: { type: "string", multiple: true },
  hosts: { type: "string", multiple: true },
  env: { type: "string", multiple: true },
  names: { type: "string" },
  via: { type: "string" },
  config: { type: "string" },
} as const;

/** The line of a help text that tells of the way to the nodes. */
export const VIA_HELP = `      --via WAY          how nodes are come to: edge, or direct (straight to them, under a grant of the edge's)`;

/** The lines of a help text that tell of them. */
export const SETTINGS_HELP = `      --to LIST          destinations: host:port or URLs, by commas; may be repeated
      --hosts LIST       hosts whose HTTP(S) goes by the relay, whatever port: api.bank.com, *.vendor.io
      --env LIST         variables in which a destination's host may be rewritten, where its name can't lead here
      --names WAY        how names lead here: auto, hosts (the hosts file), nss (nss_wrapper), env (the variables)
${VIA_HELP}
      --config FILE      in place of holdfast.toml in this folder`;

/** The command line's own part, and the command behind \`--\`. */
export function splitCommand(args: readonly string[]): {
  readonly own: readonly string[];
  readonly command: readonly string[];
} {
  const at = args.indexOf("--");
  return at === -1 ? { own: args, command: [] } : { own: args.slice(0, at), command: args.slice(at + 1) };
}

/** `parseArgs` whose complaints are a UsageError. */
export function parseOptions<Options extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: Options,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/**
 * The settings from the flags, this process's environment and its folder.
 * @throws UsageError also where they name nothing that goes by the relay
 */
export function settingsHere(flags: SettingsFlags): Settings {
  const settings = readSettings(flags, { env: process.env, readFile: readIfThere, folder: process.cwd() });
  if (settings.destinations.length + settings.services.length + settings.hosts.length === 0) {
    throw new UsageError(
      "nothing is to go by the relay: name destinations by --to or HOLDFAST_DESTINATIONS, or hosts by --hosts or HOLDFAST_HOSTS",
    );
  }
  return settings;
}

/**
 * How nodes are come to, from the flag, this process's environment and its folder.
 * @throws UsageError
 */
export function viaHere(flag: string | undefined): Via {
  return readVia({ via: flag }, { env: process.env, readFile: readIfThere, folder: process.cwd() });
}

/**
 * HOLDFAST_URL, whose key can be read, or for which there is a platform that tells who is asking.
 * @throws UsageError without the key
 */
export async function relayUrlHere(): Promise<string> {
  const url = process.env["HOLDFAST_URL"];
  try {
    await createSigner(url).describe();
  } catch (cause) {
    if (!isRelayError(cause)) throw cause;
    throw new UsageError(cause.detail, { cause });
  }
  return url!;
}

/** @returns undefined where there is no such file */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new UsageError(`${path} can't be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}
