import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { UsageError } from "../command.ts";
import { durationSeconds } from "../duration.ts";
import { DEFAULT_OUT } from "../commands/init.ts";
import type { RecordEdit } from "./record.ts";

/** What `holdfast clients` was asked for, its words not looked at any closer. */
export type ClientsArguments = { readonly dir: string; readonly json: boolean } & (
  | { readonly action: "list" }
  | { readonly action: "show"; readonly id: string }
  | { readonly action: "remove"; readonly id: string }
  | EditCommand
  | FileCommand
  | RotateCommand
);

interface EditCommand {
  readonly action: "add" | "update";
  readonly id: string;
  readonly edit: EditArguments;
}

interface FileCommand {
  readonly action: "add" | "update";
  readonly id: string;
  readonly file: string;
  /** The one that the file replaces, where that is said. */
  readonly version: number | undefined;
}

interface RotateCommand {
  readonly action: "rotate";
  readonly id: string;
  readonly key: string | undefined;
  /** Seconds. */
  readonly overlap: number;
}

/** A record's edit, or a new record, as it stands in the options. */
export type EditArguments = RecordEdit<string, string>;

const text = { type: "string" } as const;
const texts = { type: "string", multiple: true } as const;
const OPTIONS = {
  out: { ...text, short: "o" },
  json: { type: "boolean" },
  allow: texts,
  "add-allow": texts,
  "remove-allow": texts,
  key: texts,
  "add-key": texts,
  "remove-key": texts,
  issuer: texts,
  "add-issuer": texts,
  "remove-issuer": texts,
  limit: texts,
  pool: texts,
  set: texts,
  file: text,
  "if-version": text,
  overlap: text,
} as const;

type Option = keyof typeof OPTIONS;
type Values = ReturnType<typeof optionsOf>["values"];

const EDITS = ["limit", "pool", "set"] as const;

/** The options of each action, besides `out`. */
const TAKES: Readonly<Record<ClientsArguments["action"], readonly Option[]>> = {
  list: ["json"],
  show: ["json"],
  add: ["allow", "key", "issuer", ...EDITS, "file"],
  update: [
    "add-allow",
    "remove-allow",
    "add-key",
    "remove-key",
    "add-issuer",
    "remove-issuer",
    ...EDITS,
    "file",
    "if-version",
  ],
  remove: [],
  rotate: ["key", "overlap"],
};

const DEFAULT_OVERLAP = "24h";

/** @throws UsageError */
export function parseClientsArguments(args: readonly string[]): ClientsArguments {
  const { values, positionals } = optionsOf(args);
  const [word = "", id = "", ...more] = positionals;
  if (!Object.hasOwn(TAKES, word)) {
    throw new UsageError(`say what to do: ${Object.keys(TAKES).join(", ")}`);
  }
  const action = word as ClientsArguments["action"];
  const wrong = (Object.keys(values) as Option[]).find(
    (name) => name !== "out" && !TAKES[action].includes(name),
  );
  if (wrong !== undefined) throw new UsageError(`${action} takes no --${wrong}${hintFor(action, wrong)}`);
  const common = { dir: resolve(values.out ?? DEFAULT_OUT), json: values.json ?? false };
  if (action === "list") {
    if (id !== "") throw new UsageError("list takes no client: show tells of one");
    return { ...common, action };
  }
  // It is not quoted: somebody may have given the whole of HOLDFAST_URL, which holds a key.
  if (more.length > 0 || !CLIENT_ID.test(id)) {
    throw new UsageError(`${action} takes one client's id: 1 to 63 characters of a-z, 0-9, - and _`);
  }
  if (action === "show") return { ...common, action, id };
  if (action === "remove") return { ...common, action, id };
  if (action === "rotate") return { ...common, action, id, ...rotation(values) };
  return { ...common, action, id, ...(values.file === undefined ? editing(action, values) : whole(values)) };
}

function optionsOf(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/** Of options that the other of the two actions has. */
function hintFor(action: string, option: string): string {
  if (action === "update" && TAKES.add.includes(option as Option)) {
    return `: say --add-${option} or --remove-${option}`;
  }
  return action === "add" && option.startsWith("add-") ? `: say --${option.slice(4)}` : "";
}

function rotation({ key = [], overlap = DEFAULT_OVERLAP }: Values) {
  const seconds = /^0[smhd]?$/.test(overlap) ? 0 : durationSeconds(overlap);
  if (seconds === undefined) {
    throw new UsageError("--overlap takes how long the old keys go on: 24h, 90m, 0");
  }
  if (key.length > 1) throw new UsageError("rotate takes one --key");
  return { key: key[0], overlap: seconds };
}

function whole({ file = "", "if-version": version, out: _out, ...others }: Values) {
  const more = Object.keys(others)[0];
  if (more !== undefined) throw new UsageError(`--file is the whole record: --${more} can't go with it`);
  if (version !== undefined && !/^[1-9]\d{0,14}$/.test(version)) {
    throw new UsageError("--if-version takes the version that the file replaces, as `show` tells it");
  }
  return { file, version: version === undefined ? undefined : Number(version) };
}

function editing(action: "add" | "update", values: Values): { readonly edit: EditArguments } {
  if (values["if-version"] !== undefined) {
    throw new UsageError("--if-version goes with --file: other changes are applied to the record as it is");
  }
  const edit: EditArguments = {
    addAllow: values[action === "add" ? "allow" : "add-allow"] ?? [],
    removeAllow: values["remove-allow"] ?? [],
    addKeys: values[action === "add" ? "key" : "add-key"] ?? [],
    removeKeys: values["remove-key"] ?? [],
    addIssuers: values[action === "add" ? "issuer" : "add-issuer"] ?? [],
    removeIssuers: values["remove-issuer"] ?? [],
    limits: new Map((values.limit ?? []).map((one) => limitOf(one))),
    pool: values.pool?.includes("all") === true ? "all" : values.pool,
    members: new Map((values.set ?? []).map((one) => memberOf(one))),
  };
  if (action === "update" && Object.keys(values).every((name) => name === "out")) {
    throw new UsageError("say what to change");
  }
  return { edit };
}

function limitOf(given: string): [string, number | undefined] {
  const [name, value] = pairOf(given, "--limit takes NAME=VALUE, as in --limit concurrent=50");
  if (value === "") return [name, undefined];
  const number = Number(value);
  const isLimit = number > 0 && Number.isFinite(number);
  if (!isLimit) throw new UsageError(`--limit ${name} takes a number above 0`);
  return [name, number];
}

/** Members that have options of their own. */
const OWN: ReadonlySet<string> = new Set(["id", "keys", "allow", "pool", "limits", "issuers"]);

function memberOf(given: string): [string, unknown] {
  const [name, value] = pairOf(given, "--set takes MEMBER=VALUE, as in --set bearer=true");
  if (OWN.has(name)) throw new UsageError(`--set is for other members than ${[...OWN].join(", ")}`);
  if (value === "") return [name, undefined];
  try {
    return [name, JSON.parse(value) as unknown];
  } catch {
    return [name, value];
  }
}

function pairOf(given: string, form: string): [name: string, value: string] {
  const at = given.indexOf("=");
  if (at < 1) throw new UsageError(form);
  return [given.slice(0, at), given.slice(at + 1)];
}
