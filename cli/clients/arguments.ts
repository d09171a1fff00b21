import { resolve } from "node:path";
import { UsageError } from "../command.ts";
import { durationSeconds } from "../duration.ts";
import { DEFAULT_OUT } from "../commands/init.ts";
import {
  type FileArguments,
  FLAG,
  idIn,
  limitOf,
  pairOf,
  readAction,
  refuseVersion,
  TEXT,
  TEXTS,
  wholeFile,
} from "../records/arguments.ts";
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

interface FileCommand extends FileArguments {
  readonly action: "add" | "update";
  readonly id: string;
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

const OPTIONS = {
  out: { ...TEXT, short: "o" },
  json: FLAG,
  allow: TEXTS,
  "add-allow": TEXTS,
  "remove-allow": TEXTS,
  key: TEXTS,
  "add-key": TEXTS,
  "remove-key": TEXTS,
  issuer: TEXTS,
  "add-issuer": TEXTS,
  "remove-issuer": TEXTS,
  limit: TEXTS,
  pool: TEXTS,
  set: TEXTS,
  file: TEXT,
  "if-version": TEXT,
  overlap: TEXT,
} as const;

type Option = keyof typeof OPTIONS;
type Values = ReturnType<typeof read>["values"];

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
  const { action, values, words } = read(args);
  const common = { dir: resolve(values.out ?? DEFAULT_OUT), json: values.json ?? false };
  if (action === "list") {
    if (words.length > 0) throw new UsageError("list takes no client: show tells of one");
    return { ...common, action };
  }
  const id = idIn(words, action, "client");
  if (action === "show") return { ...common, action, id };
  if (action === "remove") return { ...common, action, id };
  if (action === "rotate") return { ...common, action, id, ...rotation(values) };
  return {
    ...common,
    action,
    id,
    ...(values.file === undefined ? editing(action, values) : wholeFile(values)),
  };
}

const read = (args: readonly string[]) => readAction(args, OPTIONS, TAKES, hintFor);

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

function editing(action: "add" | "update", values: Values): { readonly edit: EditArguments } {
  refuseVersion(values);
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
