import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBinary } from "../../dev/binary.ts";
import { testStack } from "../support/stack.ts";
import { type BareRoot, bareRoot, filesIn, LIBRARIES } from "./support/bare-root.ts";

/** The single-file binary in a root directory that holds glibc, libstdc++ and no Node. */

const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8")) as {
  version: string;
};

let dir: string;
let binary: string;
let root: BareRoot;
let stack: Awaited<ReturnType<typeof testStack>>;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-binary-"));
  binary = await buildBinary(join(dir, "built"));
  root = await bareRoot(join(dir, "root"));
  root.install(binary, "holdfast");
  stack = await testStack();
});
afterAll(async () => {
  await stack?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const holdfast = (args: readonly string[], env?: Readonly<Record<string, string>>) =>
  root.run(["holdfast", ...args], env);

describe("in a root without Node", () => {
  test("there is no Node, and nothing of the package", async () => {
    const names = filesIn(root.dir);
    expect(names).toContain("usr/local/bin/holdfast");
    expect(names.filter((name) => /node|\.[mc]?[jt]s$|package\.json/.test(name))).toEqual([]);
    expect(await root.run(["sh", "-c", "command -v node"])).toMatchObject({ code: 127, stdout: "" });
  });

  test("tells the version of the sources", async () => {
    const told = { code: 0, stdout: `holdfast ${version}\n`, stderr: "" };
    expect(await holdfast(["--version"])).toEqual(told);
  });

  test("takes no flag for Node's, from arguments or NODE_OPTIONS", async () => {
    const env = { NODE_OPTIONS: "--no-such-flag --require /no/such/file" };
    expect(await holdfast(["--version"], env)).toMatchObject({ code: 0, stderr: "" });
    for (const flag of ["--eval=1", "--inspect", "--node-options=--no-such-flag"]) {
      const { code, stderr } = await holdfast([flag]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(`unknown command "${flag}"`)]);
    }
  });

  test("fetches from the relay's address", async () => {
    const { code, stdout, stderr } = await holdfast(["fetch", "-v", "--receipt", `${stack.target}/x`], {
      HOLDFAST_URL: stack.relayUrl,
    });
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("receipt") });
    expect(stack.nodes.map(({ egress }) => egress)).toContain((JSON.parse(stdout) as { from: string }).from);
  });

  test("fails where the address is not the listed one", async () => {
    const { code, stdout, stderr } = await holdfast(
      ["fetch", "--expect-ip", "203.0.113.99", `${stack.target}/x`],
      { HOLDFAST_URL: stack.relayUrl },
    );
    expect([code, stdout, stderr]).toEqual([1, "", expect.stringMatching(/^holdfast: egress_\w+: /)]);
  });

  test("says of init what it needs", async () => {
    const answers = await holdfast(["init", "--example"]);
    expect(answers).toMatchObject({ code: 0, stderr: "" });
    const script = "holdfast init --example > /tmp/answers && cd /tmp && holdfast init answers";
    const { code, stderr } = await root.run(["sh", "-c", script]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("npx holdfast init")]);
    expect(filesIn(join(root.dir, "tmp"))).toEqual(["answers"]);
  });
});

describe("in a root that lacks something", () => {
  const inRoot = async (libraries: readonly string[]) => {
    const lacking = await bareRoot(mkdtempSync(join(dir, "lacking-")), libraries);
    lacking.install(binary, "holdfast");
    return lacking.run(["sh", "-c", "holdfast --version"]);
  };

  test.each(["libatomic.so.1", "libstdc++.so.6", "libgcc_s.so.1"])("the loader names %s", async (missing) => {
    const { code, stdout, stderr } = await inRoot(LIBRARIES.filter((name) => name !== missing));
    expect([code, stdout]).toEqual([127, ""]);
    expect(stderr).toContain(
      `error while loading shared libraries: ${missing}: cannot open shared object file`,
    );
  });

  // An image with musl has another loader, under another name.
  test("without glibc's loader the shell takes it for a file that is not there", async () => {
    const { code, stdout, stderr } = await inRoot([]);
    expect([code, stdout, stderr]).toEqual([127, "", "sh: holdfast: not found\n"]);
  });
});

describe("the file", () => {
  test("is the same, built again in another folder", async () => {
    const again = await buildBinary(join(dir, "again"));
    const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
    expect(digest(again)).toBe(digest(binary));
    rmSync(join(dir, "again"), { recursive: true });
  });

  test("holds no debug information", () => {
    expect(statSync(binary).size).toBeLessThan(statSync(process.execPath).size - 25_000_000);
  });
});
