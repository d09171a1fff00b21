import { resolve } from "node:path";
import { UsageError } from "../command.ts";
import { DEFAULT_OUT } from "../commands/init.ts";
import { DEFAULT_REASON } from "../deliveries/arguments.ts";
import { scheduleSeconds } from "../duration.ts";
import {
  type FileArguments,
  FLAG,
  idIn,
  limitOf,
  numberIn,
  pairOf,
  readAction,
  refuseVersion,
  TEXT,
  TEXTS,
  wholeFile,
} from "../records/arguments.ts";
import type { RouteEdit, VerifierForm } from "./record.ts";
import { canMake, makesItsOwn, type SecretSource } from "./secrets.ts";

/** `holdfast routes` as it was asked for, its words not looked at any closer. */
export type RoutesArguments = { readonly dir: string; readonly json: boolean } & (
  | { readonly action: "list" }
  | { readonly action: "show"; readonly id: string }
  | { readonly action: "remove"; readonly id: string }
  | { readonly action: "resume"; readonly id: string }
  | { readonly action: "pause"; readonly id: string; readonly reason: string }
  | { readonly action: "add" | "update"; readonly id: string; readonly edit: EditArguments }
  | ({ readonly action: "add" | "update"; readonly id: string } & FileArguments)
  | { readonly action: "rotate"; readonly id: string; readonly end: Ends }
  | { readonly action: "rotate"; readonly id: string; readonly sources: Sources }
);

/** Which old secrets go. */
interface Ends {
  readonly secret: boolean;
  readonly sign: boolean;
}

/** Where new secrets come from. That a new one's kind is not known yet is said by an empty one. */
export interface Sources {
  readonly secret: SecretSource | undefined;
  readonly sign: SecretSource | undefined;
}

/** A route's edit, its secrets yet to be read. */
export interface EditArguments extends Omit<RouteEdit, "secret" | "sign"> {
  readonly sources: Sources;
  readonly noSign: boolean;
}

const OPTIONS = {
  out: { ...TEXT, short: "o" },
  json: FLAG,
  client: TEXT,
  target: TEXT,
  verifier: TEXT,
  dedupe: TEXT,
  order: TEXT,
  schedule: TEXT,
  limit: TEXTS,
  keep: TEXTS,
  "secret-file": TEXT,
  "secret-env": TEXT,
  "new-secret": FLAG,
  "sign-file": TEXT,
  "sign-env": TEXT,
  "new-sign": FLAG,
  "no-sign": FLAG,
  end: FLAG,
  "end-sign": FLAG,
  reason: TEXT,
  file: TEXT,
  "if-version": TEXT,
} as const;

type Option = keyof typeof OPTIONS;
type Values = ReturnType<typeof read>["values"];

const SECRETS = ["secret-file", "secret-env", "new-secret", "sign-file", "sign-env", "new-sign"] as const;
const MEMBERS = ["client", "target", "verifier", "dedupe", "order", "schedule", "limit", "keep"] as const;

const TAKES: Readonly<Record<RoutesArguments["action"], readonly Option[]>> = {
  list: ["json"],
  show: ["json"],
  add: [...MEMBERS, ...SECRETS, "file"],
  update: [...MEMBERS, ...SECRETS, "no-sign", "file", "if-version"],
  rotate: [...SECRETS, "end", "end-sign"],
  remove: [],
  pause: ["reason"],
  resume: [],
};

/** @throws UsageError */
export function parseRoutesArguments(args: readonly string[]): RoutesArguments {
  const { action, values, words } = read(args);
  const common = { dir: resolve(values.out ?? DEFAULT_OUT), json: values.json ?? false };
  if (action === "list") {
    if (words.length > 0) throw new UsageError("list takes no route: show tells of one");
    return { ...common, action };
  }
  const id = idIn(words, action, "route");
  if (action === "pause") return { ...common, action, id, reason: values.reason ?? DEFAULT_REASON };
  if (action === "rotate") return { ...common, action, id, ...rotation(values) };
  if (action === "add" || action === "update") {
    if (values.file !== undefined) return { ...common, action, id, ...wholeFile(values) };
    refuseVersion(values);
    return { ...common, action, id, edit: editing(action, values) };
  }
  return { ...common, action, id };
}

const read = (args: readonly string[]) => readAction(args, OPTIONS, TAKES);

function rotation(values: Values) {
  const end = { secret: values.end ?? false, sign: values["end-sign"] ?? false };
  const sources = sourcesIn(values, undefined);
  const isNew = sources.secret !== undefined || sources.sign !== undefined;
  if (end.secret || end.sign) {
    if (isNew) throw new UsageError("--end drops the old secret: a new one can't go with it");
    return { end };
  }
  if (!isNew) {
    throw new UsageError(
      "say where the new secret comes from: --secret-file, --secret-env, --new-secret, or --sign-…",
    );
  }
  return { sources };
}

function editing(action: "add" | "update", values: Values): EditArguments {
  const { client, target } = values;
  const verifier = values.verifier === undefined ? undefined : verifierOf(values.verifier);
  const sources = sourcesIn(values, verifier);
  if (action === "add") {
    if (client === undefined || target === undefined || verifier === undefined) {
      throw new UsageError("add takes --client, --target and --verifier");
    }
    if (verifier.type !== "none" && sources.secret === undefined) {
      const made = canMake(verifier.type) ? ", or --new-secret" : "";
      throw new UsageError(
        `say where the secret of ${verifier.type} comes from: --secret-file, --secret-env${made}`,
      );
    }
  } else if (Object.keys(values).every((name) => name === "out")) {
    throw new UsageError("say what to change");
  }
  const noSign = values["no-sign"] ?? false;
  if (noSign && sources.sign !== undefined) throw new UsageError("say --no-sign, or what to sign with");
  return {
    client,
    target,
    verifier,
    sources,
    noSign,
    members: new Map<string, unknown>([
      ...ruleIn("dedupe", values.dedupe),
      ...ruleIn("order", values.order),
      ...(values.schedule === undefined ? [] : [["schedule", scheduleIn(values.schedule)] as const]),
    ]),
    limits: new Map((values.limit ?? []).map((one) => limitOf(one))),
    retention: new Map((values.keep ?? []).map((one) => keepOf(one))),
  };
}

/** @param verifier that the route gets; undefined where it keeps the one that it has */
function sourcesIn(values: Values, verifier: VerifierForm | undefined): Sources {
  const secret = sourceOf("secret", {
    file: values["secret-file"],
    env: values["secret-env"],
    isNew: values["new-secret"] ?? false,
    kind: verifier?.type ?? "",
  });
  const sign = sourceOf("sign", {
    file: values["sign-file"],
    env: values["sign-env"],
    isNew: values["new-sign"] ?? false,
    kind: "standard-webhooks",
  });
  if (verifier?.type === "none" && secret !== undefined) {
    throw new UsageError("the verifier none looks at no secret");
  }
  if (secret?.from === "new" && verifier !== undefined && !canMake(verifier.type)) {
    throw new UsageError(makesItsOwn(verifier.type));
  }
  if (secret?.from === "stdin" && sign?.from === "stdin") throw new UsageError("stdin holds one secret");
  return { secret, sign };
}

function sourceOf(
  name: string,
  {
    file,
    env,
    isNew,
    kind,
  }: { file: string | undefined; env: string | undefined; isNew: boolean; kind: string },
): SecretSource | undefined {
  const given: SecretSource[] = [];
  if (file === "-") given.push({ from: "stdin" });
  else if (file !== undefined) given.push({ from: "file", path: file });
  if (env !== undefined) given.push({ from: "env", name: env });
  if (isNew) given.push({ from: "new", kind });
  if (given.length > 1) throw new UsageError(`say one of --${name}-file, --${name}-env and --new-${name}`);
  return given[0];
}

/** `stripe`, or with members as in `hmac,header=X-Signature,hash=sha256,encoding=hex`. */
function verifierOf(given: string): VerifierForm {
  const [type = "", ...parts] = given.split(",");
  const form = "--verifier takes TYPE, or with members TYPE,NAME=VALUE,…";
  const members = Object.fromEntries(parts.map((part) => pairOf(part, form)));
  if ("secrets" in members || "type" in members) throw new UsageError(form);
  return { ...members, type };
}

function ruleIn(name: string, given: string | undefined): [string, string | undefined][] {
  return given === undefined ? [] : [[name, given === "default" ? undefined : given]];
}

function scheduleIn(given: string): number[] | undefined {
  if (given === "default") return undefined;
  const schedule = scheduleSeconds(given);
  if (schedule !== undefined) return schedule;
  throw new UsageError("--schedule takes the time before each attempt, as in 0,5s,5m,2h, or default");
}

const KEPT: Readonly<Record<string, string>> = { delivered: "deliveredDays", dead: "deadDays" };

function keepOf(given: string): [string, number | undefined] {
  const form = "--keep takes delivered=DAYS or dead=DAYS";
  const [name, value] = pairOf(given, form);
  const member = KEPT[name];
  if (member === undefined) throw new UsageError(form);
  return [member, numberIn(value, form)];
}
