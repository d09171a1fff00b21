import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { buildWorker } from "../../dev/workerd.ts";
import { enterNamespaces, expectNamespaces } from "../support/namespaces.ts";
import { conduct } from "./conduct.ts";
import { NAMES } from "./hosts.ts";
import { PREPARED } from "../support/hosted-relay.ts";

/**
 * `npm run chaos`: faults under load, on hosts that are network namespaces. `-- --quick` has a share of them, `--seed`
 * repeats an order, `--report` says where the figures go.
 *
 * The same file is run twice: outside it prepares certificates and the worker's bundle and starts itself again in
 * namespaces of its own, which take every process and every interface with them when they end.
 */

const INSIDE = "HOLDFAST_CHAOS_DIR";
const REPORT = resolve(import.meta.dirname, "../../dist/chaos/report.json");

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    report: { type: "string", default: REPORT },
  },
});

async function outside(): Promise<number> {
  try {
    await expectNamespaces();
  } catch (error) {
    console.error(`chaos: ${(error as Error).message}`);
    return 1;
  }
  const dir = mkdtempSync(join(tmpdir(), "holdfast-chaos-"));
  try {
    const ca = await createCa("Chaos CA");
    const [{ key, cert }] = await Promise.all([
      issueCertificate(ca, { dns: Object.keys(NAMES) }),
      buildWorker(dirname(join(dir, PREPARED.module))),
    ]);
    const files = { [PREPARED.ca]: ca.cert, [PREPARED.cert]: cert, [PREPARED.key]: key };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text, { mode: 0o600 });
    return await enterNamespaces(process.argv.slice(1), {
      [INSIDE]: dir,
      NODE_EXTRA_CA_CERTS: join(dir, PREPARED.ca),
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const dir = process.env[INSIDE];
if (dir === undefined) process.exitCode = await outside();
else {
  const { quick, seed, report } = values;
  mkdirSync(dirname(resolve(report)), { recursive: true });
  const code = await conduct({ dir, quick, seed: Number(seed), report: resolve(report) });
  // As the first process of its namespace it takes every other one with it.
  process.exit(code);
}
