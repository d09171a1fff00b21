// suite.mjs NAME COMMAND...: a run of vitest, reported to dist/ci/NAME.json. What failed is run once more, file by file and
// alone, since a loaded machine fails what depends on time; count.mjs names what passed only then.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { againPath, filesToRepeat, readReport } from "./outcome.mjs";

const [name, command, ...args] = process.argv.slice(2);
const path = join("dist/ci", `${name}.json`);

/** @returns whether all passed */
function run(report, more) {
  const reporting = ["--reporter=default", `--reporter=${join(import.meta.dirname, "reporter.mjs")}`];
  const { status } = spawnSync(command, [...args, ...reporting, `--outputFile.json=${report}`, ...more], {
    stdio: "inherit",
  });
  return status === 0;
}

function isPassed() {
  if (run(path, [])) return true;
  const report = readReport(path);
  const files = report === undefined ? [] : filesToRepeat(report, process.cwd());
  if (files.length === 0) return false;
  console.log(`== again, alone: ${files.join(" ")}`);
  const isMended = run(againPath(path), ["--maxWorkers=1", ...files]);
  return isMended && report.errors.every(({ file }) => file !== undefined);
}

process.exit(isPassed() ? 0 : 1);
