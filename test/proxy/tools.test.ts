import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runOnClient } from "./support/client.ts";
import { userUrl } from "./support/clients.ts";
import { EGRESS, TARGETS } from "./support/hosts.ts";
import { APT_SCRIPT, CONTENT, makeAptRepository, makeGitRepository } from "./support/repositories.ts";
import { type ProxyStack, startProxyStack } from "./support/stack.ts";

/** Tools that fetch many things in a row: git and apt. */

let stack: ProxyStack;

beforeAll(async () => {
  stack = await startProxyStack();
  await Promise.all([makeGitRepository(stack.files), makeAptRepository(stack.files)]);
});

afterAll(() => stack?.stop());

const WAYS = (["https", "http"] as const).flatMap((target) =>
  (["https", "http"] as const).map((scheme) => ({ target, scheme })),
);

let folders = 0;

function folder(): string {
  const path = join(stack.dir, `work-${++folders}`);
  mkdirSync(path);
  return path;
}

async function callers(): Promise<readonly string[]> {
  return [...new Set((await stack.calls()).map(({ from }) => from))];
}

describe.for(WAYS)("by $target:// through $scheme://", ({ target, scheme }) => {
  const origin = `${target}://${TARGETS.api}`;

  test("git clones", async () => {
    const cwd = folder();
    const proxy = userUrl(stack, scheme);
    const ran = await runOnClient(
      stack,
      ["git", "clone", "--quiet", `${origin}/files/repository.git`, "it"],
      {
        cwd,
        env: { http_proxy: proxy, https_proxy: proxy },
      },
    );
    expect(ran.code, ran.stderr).toBe(0);
    expect(readFileSync(join(cwd, "it/file"), "utf8")).toBe(CONTENT);
  });

  test("apt updates and downloads", async () => {
    const script = ["sh", "-c", APT_SCRIPT, "sh", origin, userUrl(stack, scheme)];
    const ran = await runOnClient(stack, script, { cwd: folder() });
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(new RegExp(`${CONTENT}$`));
  });
});

test("all that the target saw came from an egress address", async () => {
  const seen = await callers();
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter((address) => !EGRESS.includes(address))).toEqual([]);
});
