import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { conduct } from "./conduct.ts";

/**
 * `npm run chaos:hooks`: providers send webhooks while the edge is killed again and again. `-- --quick` has a share of it,
 * `--seed` repeats an order, `--report` says where what was noted goes.
 */

const REPORT = resolve(import.meta.dirname, "../../../dist/chaos/hooks");

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    report: { type: "string", default: REPORT },
  },
});

const dir = mkdtempSync(join(tmpdir(), "holdfast-hooks-"));
try {
  const { quick, seed, report } = values;
  process.exitCode = await conduct({ dir, quick, seed: Number(seed), report: resolve(report) });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
