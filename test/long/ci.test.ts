import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { run } from "../support/run.ts";

/** What failed in CI is run again alone, and named last. */

const ROOT = resolve(import.meta.dirname, "../..");
const dirs: string[] = [];
afterAll(() => dirs.forEach((dir) => rmSync(dir, { recursive: true })));

/** Runs a suite by a command in a folder of its own, and counts. */
async function judged(files: Readonly<Record<string, string>>, command: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-ci-"));
  dirs.push(dir);
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const script = (name: string) => join(ROOT, ".ci", name);
  const suite = await run(process.execPath, [script("suite.mjs"), "small", process.execPath, ...command], {
    cwd: dir,
  });
  const count = await run(process.execPath, [script("count.mjs"), "dist/ci/small.json"], { cwd: dir });
  const lines = count.stdout.trimEnd().split("\n");
  return {
    codes: [suite.code, count.code],
    again: suite.stdout.includes("== again, alone: "),
    told: lines.filter((line) => !line.startsWith("    ")),
    last: lines.at(-1),
    all: count.stdout,
  };
}

describe("a suite of vitest's", () => {
  /** A file that knows whether this is its first run. */
  const once = `
    import { existsSync, writeFileSync } from "node:fs";
    import { beforeAll, describe, expect, test } from "vitest";
    const marker = import.meta.filename + ".ran";
    const isFirst = !existsSync(marker);
    writeFileSync(marker, "");`;
  const flakyTest = `${once}
    describe("a group", () => { test("late", () => expect([isFirst]).toEqual([false])); });
    test("beside", () => {});`;

  test("passes where what failed passes alone: a test, a hook and a file", async () => {
    const files = {
      "passes.test.ts": 'import { test } from "vitest"; test("fine", () => {});',
      "test.test.ts": flakyTest,
      "hook.test.ts": `${once}
        describe("b", () => { beforeAll(() => { if (isFirst) throw new Error("no"); }); test("x", () => {}); });`,
      "file.test.ts": `${once} if (isFirst) throw new Error("no"); test("y", () => {});`,
    };
    const { codes, told, last, again, all } = await judged(files, ["node_modules/vitest/vitest.mjs", "run"]);
    expect(told.toSorted()).toEqual([
      "5 passed, 0 failed",
      "flaky: file.test.ts",
      "flaky: hook.test.ts > b",
      "flaky: test.test.ts > a group > late",
    ]);
    expect([codes, again, last]).toEqual([[0, 0], true, "5 passed, 0 failed"]);
    expect(all).toMatch(/\n {4}- {3}false,\n {4}\+ {3}true,\n/);
  });

  test("fails by what fails twice, or in the second run, and by what nobody caught", async () => {
    const files = {
      "test.test.ts": `${flakyTest}
        test("early", () => expect(isFirst).toBe(true));
        test.skip("never", () => {});
        if (isFirst) void Promise.reject(new Error("loose"));`,
      "wrong.test.ts": `import { expect, test } from "vitest";
        test("w", () => expect(1).toBe(2));
        test("v", () => {});`,
    };
    const { codes, told, last, again, all } = await judged(files, ["node_modules/vitest/vitest.mjs", "run"]);
    expect(told.toSorted()).toEqual([
      "3 passed, 3 failed, 1 skipped",
      "failed: an error that nobody caught",
      "failed: test.test.ts > early",
      "failed: wrong.test.ts > w",
      "flaky: test.test.ts > a group > late",
    ]);
    expect([codes, again, last]).toEqual([[1, 1], true, "3 passed, 3 failed, 1 skipped"]);
    expect(all).toMatch(/nobody caught\n {4}Error: loose\n/);
  });
});

describe("a suite whose run", () => {
  const many = Array.from({ length: 6 }, (_, n) => ({
    ancestorTitles: [],
    title: `n${n}`,
    status: "failed",
    failureMessages: ["Error: no"],
  }));
  const report = (status: string, tests: readonly unknown[]) => ({
    testResults: [{ name: "a.test.ts", status, message: "", assertionResults: tests }],
    errors: [],
  });
  test.each<{ name: string; report: unknown; code: number; again: boolean; told: readonly string[] }>([
    {
      name: "leaves no report",
      report: undefined,
      code: 1,
      again: false,
      told: ["failed: dist/ci/small.json", "0 passed, 1 failed"],
    },
    {
      name: "has no test",
      report: { testResults: [], errors: [] },
      code: 0,
      again: false,
      told: ["0 passed, 0 failed"],
    },
    {
      name: "has too many failures to excuse any",
      report: report("failed", many),
      code: 1,
      again: false,
      told: [...many.map(({ title }) => `failed: a.test.ts > ${title}`), "0 passed, 6 failed"],
    },
    {
      name: "lost a worker, and loses it again",
      report: report("failed", []),
      code: 1,
      again: true,
      told: ["failed: a.test.ts", "0 passed, 1 failed"],
    },
  ])("$name fails", async ({ report: left, code, again, told }) => {
    // In vitest's place: it takes the same option, and leaves what it is to.
    const program = `
      const { mkdirSync, writeFileSync } = require("node:fs");
      const path = process.argv.find((one) => one.startsWith("--outputFile.json=")).slice(18);
      mkdirSync("dist/ci", { recursive: true });
      const report = ${JSON.stringify(left) ?? "undefined"};
      if (report !== undefined) writeFileSync(path, JSON.stringify(report));
      process.exit(${code});`;
    const done = await judged({ "program.cjs": program }, ["program.cjs"]);
    expect(done.told).toEqual(told);
    expect([done.codes, done.again]).toEqual([[code, 1], again]);
  });
});
