import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Command, EXIT, UsageError } from "../command.ts";
import { type Answers, AnswersError, parseAnswers } from "../init/answers.ts";
import { EXAMPLE_ANSWERS } from "../init/example.ts";
import { KeyFileError, type Keys, nextGrantMaster, nextStorage, readOrMakeKeys } from "../init/keys.ts";
import { type Since, sinceOf } from "../init/nodes.ts";
import { type PlanContext, planFiles, STATE_FILE } from "../init/plan.ts";
import { type Written, writeFiles } from "../init/write.ts";
import { packageRoot } from "../package-root.ts";

/** Where a deployment's files are kept unless the command line says otherwise. */
export const DEFAULT_OUT = "holdfast-deploy";

const help = `Usage: holdfast init [options] <answers file>

Makes a deployment's keys and writes the worker's and every node's configuration into one folder. Run it again after
each change of the answers: keys that are there stay, the rest is brought up to date.

  -o, --out DIR             the folder; default ${DEFAULT_OUT}
      --rotate-grant-key    goes one step on in changing the grant master key; the steps are told
      --rotate-storage-key  the same with the key that seals what is stored for webhooks
      --example             prints an answer file to fill in

The folder holds secrets: keep it as you keep a private key. docs/deploy.md says where each file goes.

Exit codes: 0 written, 1 it can't be, 2 wrong usage.
`;

/** `holdfast init`: keys and configuration of a deployment from one answer file. */
export const initCommand: Command = {
  help,
  run: async (args) => {
    const { values, positionals } = parse(args);
    if (values.example === true) {
      process.stdout.write(EXAMPLE_ANSWERS);
      return EXIT.ok;
    }
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new UsageError("give exactly one answer file");
    try {
      process.stdout.write(
        await init(file, resolve(values.out ?? DEFAULT_OUT), {
          grant: values["rotate-grant-key"] ?? false,
          storage: values["rotate-storage-key"] ?? false,
        }),
      );
      return EXIT.ok;
    } catch (error) {
      process.stderr.write(`holdfast init: ${explain(error, file)}\n`);
      return EXIT.failed;
    }
  },
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: "string", short: "o" },
        "rotate-grant-key": { type: "boolean" },
        "rotate-storage-key": { type: "boolean" },
        example: { type: "boolean" },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/** Which keys go one step on. */
interface Rotating {
  readonly grant: boolean;
  readonly storage: boolean;
}

/** Returns what is to be told. */
async function init(file: string, dir: string, rotate: Rotating): Promise<string> {
  const answers = parseAnswers(readAnswers(file));
  const found = await readOrMakeKeys(dir, answers);
  const keys = {
    ...found,
    ...(rotate.grant && { grantMaster: nextGrantMaster(found.grantMaster) }),
    ...(rotate.storage && { storage: nextStorage(found.storage) }),
  };
  const today = new Date().toISOString().slice(0, 10);
  const since = sinceOf(answers, readSince(dir), today);
  const written = writeFiles(dir, await planFiles(answers, keys, { ...sources(answers, dir), since }));
  const steps = [...(rotate.grant ? [grantStep(keys)] : []), ...(rotate.storage ? [storageStep(keys)] : [])];
  return tell(dir, written, steps);
}

function readAnswers(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const mend = "`holdfast init --example` prints one to fill in";
    throw new Error(`the answer file ${file} can't be read (${code}): ${mend}`, { cause });
  }
}

/** What the package brings: its wrangler.toml, and the worker as source in a checkout, else as its bundle. */
function sources({ selfHosted }: Answers, dir: string): Omit<PlanContext, "since"> {
  const root = packageRoot();
  if (root === undefined) {
    throw new Error(
      "this needs the worker and wrangler.toml of the npm package: run it as `npx holdfast init`",
    );
  }
  const source = join(root, "worker/index.ts");
  const bundle = join(root, "dist/worker/index.js");
  if (selfHosted !== undefined && !existsSync(bundle)) {
    throw new Error("the worker is not built: `npm run build:worker` does it");
  }
  return {
    wrangler: readFileSync(join(root, "wrangler.toml"), "utf8"),
    main: relative(dir, existsSync(source) ? source : bundle).replaceAll("\\", "/"),
    bundle: selfHosted === undefined ? undefined : readFileSync(bundle, "utf8"),
  };
}

function readSince(dir: string): Since {
  const file = join(dir, STATE_FILE);
  if (!existsSync(file)) return {};
  return (JSON.parse(readFileSync(file, "utf8")) as { since?: Since }).since ?? {};
}

function tell(dir: string, { made, changed, removed, left }: Written, steps: readonly string[]): string {
  const lines = [
    ...made.map((path) => `made     ${path}`),
    ...changed.map((path) => `changed  ${path}`),
    ...removed.map((path) => `removed  ${path}`),
    ...left.map((path) => `left     ${path}: the answers no longer name it`),
  ];
  const nothing = lines.length === 0 ? ["nothing has changed"] : [];
  return `${[`${dir}:`, ...lines, ...nothing, ...steps.flatMap((step) => ["", step])].join("\n")}\n`;
}

function grantStep({ grantMaster: { keys, edge } }: Keys): string {
  if (keys.length === 1) {
    return "Step 3 of 3: the old grant key is gone. Copy the nodes' folders to their hosts and restart them, one by one.";
  }
  return edge === 0
    ? "Step 1 of 3: a new grant key is made. Copy the nodes' folders to their hosts and restart them, one by one; then go on with step 2."
    : "Step 2 of 3: the edge is to sign under the new grant key. Bring the edge's secrets up to date; when it serves with them, go on with step 3.";
}

function storageStep({ storage }: Keys): string {
  return storage.length === 1
    ? "Step 2 of 2: the old storage key is gone. Bring the edge's secrets up to date."
    : "Step 1 of 2: a new storage key seals from now on, and the old one still opens. Bring the edge's secrets up to date and store each route again; go on with step 2 when nothing is left of what was accepted before, as docs/configuration.md has it.";
}

function explain(error: unknown, file: string): string {
  if (error instanceof AnswersError) {
    return `${file} can't be used:\n${error.problems.map((problem) => `  ${problem}`).join("\n")}`;
  }
  if (error instanceof KeyFileError || error instanceof Error) return error.message;
  return String(error);
}
