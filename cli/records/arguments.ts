import { parseArgs, type ParseArgsConfig } from "node:util";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { UsageError } from "../command.ts";

/** What commands that read and write records of the registry share in how they are called. */

export const TEXT = { type: "string" } as const;
export const TEXTS = { type: "string", multiple: true } as const;
export const FLAG = { type: "boolean" } as const;

/** The options of a command, as `parseArgs` takes them. */
type Options = NonNullable<ParseArgsConfig["options"]>;

/** A word of the command line that was read: the action, the options, and what else stands there. */
interface Read<Action extends string, Known extends Options> {
  readonly action: Action;
  readonly values: ReturnType<
    typeof parseArgs<{ args: string[]; options: Known; allowPositionals: true }>
  >["values"];
  readonly words: readonly string[];
}

/**
 * Reads a command line of the form `ACTION [WORD …] [options]`.
 *
 * @param takes the options of each action, besides `out`
 * @param hintFor what could have been meant by an option that an action doesn't take
 * @throws UsageError
 */
export function readAction<Action extends string, Known extends Options>(
  args: readonly string[],
  options: Known,
  takes: Readonly<Record<Action, readonly (keyof Known & string)[]>>,
  hintFor: (action: Action, option: string) => string = () => "",
): Read<Action, Known> {
  const { values, positionals } = optionsOf(args, options);
  const [word = "", ...words] = positionals;
  if (!Object.hasOwn(takes, word)) {
    throw new UsageError(`say what to do: ${Object.keys(takes).join(", ")}`);
  }
  const action = word as Action;
  const wrong = Object.keys(values).find((name) => name !== "out" && !takes[action].includes(name));
  if (wrong !== undefined) throw new UsageError(`${action} takes no --${wrong}${hintFor(action, wrong)}`);
  return { action, values, words };
}

function optionsOf<Known extends Options>(args: readonly string[], options: Known) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/**
 * The one id that an action takes.
 * @throws UsageError
 */
export function idIn(words: readonly string[], action: string, what: "client" | "route"): string {
  const [id = "", ...more] = words;
  // It is not quoted: somebody may have given the whole of HOLDFAST_URL, which holds a key.
  if (more.length > 0 || !CLIENT_ID.test(id)) {
    throw new UsageError(`${action} takes one ${what}'s id: 1 to 63 characters of a-z, 0-9, - and _`);
  }
  return id;
}

/** A record that is given as a file, and the version that it replaces, where that is said. */
export interface FileArguments {
  readonly file: string;
  readonly version: number | undefined;
}

/**
 * The options of an action that takes a whole record.
 * @throws UsageError
 */
export function wholeFile({
  file = "",
  "if-version": version,
  out: _out,
  ...others
}: {
  readonly file?: string | undefined;
  readonly "if-version"?: string | undefined;
  readonly out?: string | undefined;
  readonly [other: string]: unknown;
}): FileArguments {
  const more = Object.keys(others)[0];
  if (more !== undefined) throw new UsageError(`--file is the whole record: --${more} can't go with it`);
  if (version !== undefined && !/^[1-9]\d{0,14}$/.test(version)) {
    throw new UsageError("--if-version takes the version that the file replaces, as `show` tells it");
  }
  return { file, version: version === undefined ? undefined : Number(version) };
}

/** @throws UsageError */
export function refuseVersion({
  "if-version": version,
}: {
  readonly "if-version"?: string | undefined;
}): void {
  if (version === undefined) return;
  throw new UsageError("--if-version goes with --file: other changes are applied to the record as it is");
}

/**
 * `NAME=VALUE`; undefined for one without a value, which goes.
 * @throws UsageError
 */
export function limitOf(given: string): [string, number | undefined] {
  const [name, value] = pairOf(given, "--limit takes NAME=VALUE, as in --limit concurrent=50");
  return [name, numberIn(value, `--limit ${name} takes a number above 0`)];
}

/** @throws UsageError */
export function numberIn(value: string, form: string): number | undefined {
  if (value === "") return undefined;
  const number = Number(value);
  if (!(number > 0 && Number.isFinite(number))) throw new UsageError(form);
  return number;
}

/** @throws UsageError */
export function pairOf(given: string, form: string): [name: string, value: string] {
  const at = given.indexOf("=");
  if (at < 1) throw new UsageError(form);
  return [given.slice(0, at), given.slice(at + 1)];
}
