import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";

/** How many tests may have passed only when they were run again, alone. */
export const FLAKY_MAX = 5;

/** A report, or undefined where the run left none that can be read. */
export function readReport(path) {
  try {
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
  } catch {
    return undefined;
  }
}

/** Where a suite's second run is reported. */
export const againPath = (path) => path.replace(/\.json$/, ".again.json");

/** Everything that failed in a run: tests, hooks, whole files, and what nobody caught (of no file). */
export function failuresOf(report, root) {
  const place = (file) => (file === undefined ? undefined : relative(root, file));
  const found = report.testResults.flatMap(({ name: file, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === "failed")
      .map((test) => ({
        file: place(file),
        name: [...test.ancestorTitles, test.title].filter(Boolean).join(" > "),
        message: test.failureMessages.join("\n"),
        isTest: true,
      })),
  );
  for (const error of report.errors ?? []) found.push({ ...error, file: place(error.file), isTest: false });
  // A file that could not be run, or whose worker ended, may have no error of its own.
  for (const { name: file, status, message } of report.testResults) {
    if (status !== "failed" || found.some((failure) => failure.file === place(file))) continue;
    found.push({
      file: place(file),
      name: "",
      message: message === "" ? "it did not end" : message,
      isTest: false,
    });
  }
  return found;
}

/** The files that are to be run again; none where more failed than could be excused. */
export function filesToRepeat(report, root) {
  const failures = failuresOf(report, root);
  if (failures.length > FLAKY_MAX) return [];
  return [...new Set(failures.map(({ file }) => file).filter((file) => file !== undefined))];
}

/**
 * What a suite's run, and the second one of its failed files, come to: of a file that was run again the second run alone
 * counts, and `flaky` is what failed in the first and not in it.
 */
export function outcome(first, again, root) {
  const failed = failuresOf(first, root);
  const repeated = new Map(again?.testResults.map((result) => [relative(root, result.name), result]));
  const results = first.testResults.map((result) => repeated.get(relative(root, result.name)) ?? result);
  const count = (wanted) =>
    results.flatMap(({ assertionResults }) => assertionResults).filter(({ status }) => wanted(status)).length;
  const stillFailed = again === undefined ? [] : failuresOf(again, root);
  const key = ({ file, name }) => `${file}\n${name}`;
  const failedAgain = new Set(stillFailed.map(key));
  const ran = (failure) => hasPassed(repeated.get(failure.file), failure);
  const flaky = failed.filter((failure) => ran(failure) && !failedAgain.has(key(failure)));
  const excused = new Set(flaky.map(key));
  return {
    passed: count((status) => status === "passed"),
    skipped: count((status) => status !== "passed" && status !== "failed"),
    failures: [
      ...failed.filter((failure) => !excused.has(key(failure)) && !failedAgain.has(key(failure))),
      ...stillFailed,
    ],
    flaky,
  };
}

/** Whether a second run shows that what failed can pass: a test by itself, a hook by its file. */
function hasPassed(result, { name, isTest }) {
  if (result === undefined) return false;
  if (!isTest) return result.status === "passed";
  return result.assertionResults.some(
    (test) =>
      test.status === "passed" && [...test.ancestorTitles, test.title].filter(Boolean).join(" > ") === name,
  );
}
