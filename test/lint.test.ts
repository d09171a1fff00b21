import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Which imports each file may have, and which the linter must refuse. */
const FILES: readonly {
  readonly file: string;
  readonly good: readonly string[];
  readonly bad: readonly string[];
}[] = [
  {
    file: "protocol/a.ts",
    good: ["./b.ts", "jose"],
    bad: [
      "../worker/a.ts",
      "../relay-node/a.ts",
      "../client/a.ts",
      "../cli/a.ts",
      "../dev/a.ts",
      "../test/a.ts",
      "node:fs",
      "hono",
      "jo",
      "jose/x",
      "fs",
    ],
  },
  {
    file: "worker/a.ts",
    good: ["./b.ts", "../protocol/a.ts", "jose", "hono", "cloudflare:workers"],
    bad: [
      "../relay-node/a.ts",
      "../client/a.ts",
      "../cli/a.ts",
      "../dev/a.ts",
      "../test/a.ts",
      "node:crypto",
    ],
  },
  {
    file: "worker/deep/a.ts",
    good: ["../b.ts", "../../protocol/a.ts"],
    bad: ["../../relay-node/a.ts", "../../client/a.ts", "node:crypto"],
  },
  {
    file: "relay-node/a.ts",
    good: ["./b.ts", "../protocol/a.ts", "node:net", "undici"],
    bad: [
      "../worker/a.ts",
      "../worker/config.ts",
      "../client/a.ts",
      "../cli/a.ts",
      "../dev/a.ts",
      "../test/a.ts",
    ],
  },
  {
    file: "client/a.ts",
    good: ["./b.ts", "./node/b.ts", "../protocol/a.ts", "jose"],
    bad: [
      "../worker/a.ts",
      "../relay-node/a.ts",
      "../cli/a.ts",
      "../dev/a.ts",
      "../test/a.ts",
      "node:net",
      "undici",
    ],
  },
  {
    file: "client/node/a.ts",
    good: ["./b.ts", "../a.ts", "../../protocol/a.ts", "node:net", "undici"],
    bad: [
      "../../worker/a.ts",
      "../../relay-node/a.ts",
      "../../cli/a.ts",
      "../../dev/a.ts",
      "../../test/a.ts",
    ],
  },
  {
    file: "cli/a.ts",
    good: ["./b.ts", "../client/a.ts", "../client/node/a.ts", "../protocol/a.ts", "node:fs"],
    bad: ["../worker/a.ts", "../relay-node/a.ts", "../dev/a.ts", "../test/a.ts", "../client/node/index.ts"],
  },
  {
    file: "dev/a.ts",
    good: [
      "./b.ts",
      "../protocol/a.ts",
      "../client/a.ts",
      "../relay-node/config.ts",
      "../worker/config.ts",
      "../cli/workerd-config.ts",
      "node:fs",
    ],
    bad: [
      "../worker/a.ts",
      "../relay-node/a.ts",
      "../relay-node/deep/config.ts",
      "../cli/a.ts",
      "../test/a.ts",
    ],
  },
  {
    file: "test/a.ts",
    good: [
      "../worker/a.ts",
      "../relay-node/a.ts",
      "../client/a.ts",
      "../cli/a.ts",
      "../dev/a.ts",
      "node:fs",
      "hono",
      "jo",
      "jose/x",
      "fs",
    ],
    bad: [],
  },
];

/** Every way of naming another module; `#` stands for the specifier. */
const FORMS = [
  'import { a } from "#"; export { a };',
  'import type { B } from "#"; export type C = B;',
  'export { d } from "#";',
  'export * from "#";',
  'export const e = await import("#");',
];

interface Report {
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[];
}

let folder: string;
const refused = new Set<string>();
const floating: string[] = [];

/** A promise that nobody awaits: seen only by a linter that knows types. */
const FLOATING = "protocol/floating.ts";

/** A file for each specifier and form: what is refused is then known by its name. */
function fileOf(file: string, specifier: string, form: number): string {
  return join(dirname(file), `${Buffer.from(specifier).toString("hex")}-${form}.ts`);
}

// One run over a tree of files, with the project's own configuration.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-lint-"));
  await cp(join(ROOT, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  for (const { file, good, bad } of FILES) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    for (const specifier of [...good, ...bad]) {
      for (const [form, text] of FORMS.entries()) {
        await writeFile(join(folder, fileOf(file, specifier, form)), `${text.replace("#", specifier)}\n`);
      }
    }
  }
  await writeFile(join(folder, FLOATING), "async function later(): Promise<void> {}\nlater();\n");
  const oxlint = join(ROOT, "node_modules/oxlint/bin/oxlint");
  // It ends with 1 where it finds anything, and writes its report all the same.
  const { stdout } = await promisify(execFile)(process.execPath, [oxlint, "-f", "json"], {
    cwd: folder,
    maxBuffer: 64_000_000,
  }).catch((error: unknown) => error as { stdout: string });
  for (const { code, filename } of (JSON.parse(stdout) as Report).diagnostics) {
    if (code === "eslint(no-restricted-imports)") refused.add(filename);
    if (code === "typescript(no-floating-promises)") floating.push(filename);
  }
});

afterAll(() => rm(folder, { recursive: true }));

test.for(FILES)("$file imports only what its folder may", ({ file, good, bad }) => {
  for (const form of FORMS.keys()) {
    expect(
      good.filter((specifier) => refused.has(fileOf(file, specifier, form))),
      FORMS[form],
    ).toEqual([]);
    expect(
      bad.filter((specifier) => !refused.has(fileOf(file, specifier, form))),
      FORMS[form],
    ).toEqual([]);
  }
});

test("the linter knows types", () => expect(floating).toEqual([FLOATING]));
