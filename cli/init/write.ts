import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { PlannedFile } from "./plan.ts";

/** What became of each file, by path below the folder. */
export interface Written {
  readonly made: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Folders of nodes and clients that the answers no longer name: left as they are. */
  readonly left: readonly string[];
}

const SECRET_MODE = 0o600;
const OPEN_MODE = 0o644;

/** Brings a folder up to date. What is as it should be is not touched; a file is replaced whole or not at all. */
export function writeFiles(dir: string, files: ReadonlyMap<string, PlannedFile>): Written {
  const made: string[] = [];
  const changed: string[] = [];
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const [path, { text, secret }] of files) {
    const file = join(dir, path);
    const mode = secret ? SECRET_MODE : OPEN_MODE;
    const isThere = existsSync(file);
    if (isThere && readFileSync(file, "utf8") === text) {
      if ((statSync(file).mode & 0o777) !== mode) chmodSync(file, mode);
      continue;
    }
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const draft = `${file}.${randomBytes(4).toString("hex")}`;
    writeFileSync(draft, text, { mode, flush: true });
    // The process's umask may have taken more than it should.
    chmodSync(draft, mode);
    renameSync(draft, file);
    (isThere ? changed : made).push(path);
  }
  const removed = stale(dir, files);
  for (const path of removed) rmSync(join(dir, path));
  return { made, changed, removed, left: leftOver(dir, files) };
}

/** A next grant key that is no longer the next one must not be copied to its node again. */
function stale(dir: string, files: ReadonlyMap<string, PlannedFile>): string[] {
  return namesIn(dir, "nodes")
    .map((id) => `nodes/${id}/grant-next.key`)
    .filter((path) => !files.has(path) && existsSync(join(dir, path)));
}

function leftOver(dir: string, files: ReadonlyMap<string, PlannedFile>): string[] {
  const nodes = namesIn(dir, "nodes").filter((id) => !files.has(`nodes/${id}/node.json`));
  const clients = namesIn(dir, "clients").filter(
    (name) => name.endsWith(".json") && !files.has(`clients/${name}`),
  );
  return [...nodes.map((id) => `nodes/${id}`), ...clients.map((name) => `clients/${name}`)];
}

function namesIn(dir: string, folder: string): string[] {
  return existsSync(join(dir, folder)) ? readdirSync(join(dir, folder)) : [];
}
