import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ERRORS } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";

/** The documents say what the code does. */

const root = join(import.meta.dirname, "..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

test("docs/protocol.md lists every error as the table has it", () => {
  const rows = read("docs/protocol.md").match(/^\| `[a-z_]+` \| \d{3} \|.*$/gm);
  const expected = Object.entries(ERRORS).map(
    ([code, { status, proxy, reached, retryable, mend }]) =>
      `| \`${code}\` | ${status} | \`${proxy}\` | ${reached} | ${retryable ? "yes" : "no"} | ${mend} |`,
  );
  expect(rows).toEqual(expected);
});

test("docs/protocol.md names every field of the wire", () => {
  const text = read("docs/protocol.md").toLowerCase();
  for (const name of Object.values(WIRE)) expect(text).toContain(name);
});

test("docs/protocol.md shows the signers as they are run", () => {
  const text = read("docs/protocol.md");
  for (const name of ["sign.py", "sign.exs"]) expect(text).toContain(read(`examples/signers/${name}`));
});

test("docs/dependencies.md gives a reason for every dependency", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
    string,
    Record<string, string>
  >;
  const text = read("docs/dependencies.md");
  for (const name of [...Object.keys(dependencies!), ...Object.keys(devDependencies!)]) {
    expect(text).toContain(name);
  }
});

test("every link between documents leads somewhere", () => {
  const documents = readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);
  for (const file of ["README.md", "SECURITY.md", ...documents]) {
    for (const [, link] of read(file).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      expect(() => read(join(file, "..", link!).replace(/\/$/, "")), `${file}: ${link}`).not.toThrow(
        /ENOENT/,
      );
    }
  }
});
