import { readFileSync, writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { JsonReporter } from "vitest/node";

/**
 * Vitest's JSON report with what it leaves out: how values differ, and the errors that are no test's, but a hook's, a file's
 * or nobody's.
 */
export default class extends JsonReporter {
  async onTestRunEnd(modules, uncaught) {
    await super.onTestRunEnd(modules);
    const path = this.ctx.config.outputFile.json;
    const report = JSON.parse(readFileSync(path, "utf8"));
    report.errors = uncaught.map((error) => ({ name: "an error that nobody caught", message: text(error) }));
    for (const [index, module] of modules.entries()) {
      for (const owner of [module, ...module.children.allSuites()]) {
        const name = owner.type === "suite" ? owner.fullName : "";
        for (const error of owner.errors()) {
          report.errors.push({ file: module.moduleId, name, message: text(error) });
        }
      }
      const tests = report.testResults[index].assertionResults;
      for (const [nth, test] of [...module.children.allTests()].entries()) {
        tests[nth].failureMessages = (test.result().errors ?? []).map(text);
      }
    }
    writeFileSync(path, JSON.stringify(report));
  }
}

function text({ stack, message, diff }) {
  return stripVTControlCharacters([stack ?? message, diff].filter(Boolean).join("\n"));
}
