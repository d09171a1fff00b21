import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { buildWorker } from "../../dev/workerd.ts";
import { conduct } from "./conduct.ts";
import { NAMES } from "./hosts.ts";
import { PREPARED } from "./stack.ts";

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
  const dir = mkdtempSync(join(tmpdir(), "holdfast-chaos-"));
  try {
    const ca = await createCa("Chaos CA");
    const [{ key, cert }] = await Promise.all([
      issueCertificate(ca, { dns: Object.keys(NAMES) }),
      buildWorker(dirname(join(dir, PREPARED.module))),
    ]);
    for (const [name, text] of [
      [PREPARED.ca, ca.cert],
      [PREPARED.cert, cert],
      [PREPARED.key, key],
    ] as const) {
      writeFileSync(join(dir, name), text, { mode: 0o600 });
    }
    return await enter(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs this file in namespaces of its own; whatever is left in there is killed with it. */
async function enter(dir: string): Promise<number> {
  const flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  // Without root a user namespace of one's own allows the same.
  if (process.getuid?.() !== 0) flags.push("--map-root-user");
  const child = spawn("unshare", [...flags, process.execPath, ...process.argv.slice(1)], {
    env: { ...process.env, [INSIDE]: dir, NODE_EXTRA_CA_CERTS: join(dir, PREPARED.ca) },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  let entered = false;
  child.once("message", () => (entered = true));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => child.kill("SIGKILL"));
  const failure = await Promise.race([
    once(child, "exit").then(([code]) => code as number | null),
    once(child, "error").then(([error]) => error as Error),
  ]);
  if (!entered) {
    console.error(
      "chaos: these tests need network namespaces (Linux; unshare, nsenter, ip, nft; root or user namespaces), and this system lets none be made",
    );
  }
  if (failure instanceof Error) console.error(`chaos: ${failure.message}`);
  return typeof failure === "number" ? failure : 1;
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
