import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("where namespaces can't be made, the fault suite says so and fails", async () => {
  const nothing = mkdtempSync(join(tmpdir(), "holdfast-no-path-"));
  const run = promisify(execFile)(process.execPath, [join(import.meta.dirname, "run.ts"), "--quick"], {
    env: { PATH: nothing },
  });
  await expect(run).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("chaos: these tests need network namespaces") as string,
  });
});
