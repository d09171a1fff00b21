// Adds up test reports and ends with the plain line; before it stands what failed, since a log may be kept from its end. A
// skipped test is a failure here, so that none goes unseen.
import { againPath, FLAKY_MAX, outcome, readReport } from "./outcome.mjs";

/** Of each message, and how many failures have theirs shown. */
const MESSAGE_LINES = 20;
const MESSAGES_MAX = 30;

let passed = 0;
let skipped = 0;
const failures = [];
const flaky = [];
for (const path of process.argv.slice(2)) {
  const report = readReport(path);
  if (report === undefined) {
    failures.push({ file: path, name: "", message: "no report" });
    continue;
  }
  const suite = outcome(report, readReport(againPath(path)), process.cwd());
  passed += suite.passed;
  skipped += suite.skipped;
  failures.push(...suite.failures);
  flaky.push(...suite.flaky);
}
if (flaky.length > FLAKY_MAX) {
  console.log(
    `${flaky.length} passed only when they were run again, alone: more than ${FLAKY_MAX} are failures`,
  );
  passed -= flaky.filter(({ isTest }) => isTest).length;
  failures.push(...flaky.splice(0));
}

const called = ({ file, name }) => [file, name].filter(Boolean).join(" > ");
for (const [index, failure] of failures.entries()) {
  console.log(`failed: ${called(failure)}`);
  if (index < MESSAGES_MAX) console.log(excerpt(failure.message));
}
for (const one of flaky) console.log(`flaky: ${called(one)}\n${excerpt(one.message)}`);
console.log(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(passed > 0 && failures.length === 0 && skipped === 0 ? 0 : 1);

function excerpt(message) {
  return message
    .split("\n")
    .filter((line) => !line.includes("/node_modules/") && line.trim() !== "")
    .slice(0, MESSAGE_LINES)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join("\n");
}
