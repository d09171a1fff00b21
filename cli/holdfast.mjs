#!/usr/bin/env node
// The entry of the `holdfast` command: plain JavaScript that an old Node can read as well. Where the running Node is too
// old for the rest, it starts the one that the npm package `node` brings along.
import { spawn } from "child_process";
import { existsSync } from "fs";
import { dirname, join } from "path";
import { fileURLToPath, pathToFileURL } from "url";

const NEEDED = [24, 15];
const here = dirname(fileURLToPath(import.meta.url));

/** Set for a Node started from here, so that two old ones can't start each other for ever. */
const GUARD = "HOLDFAST_LAUNCHED";

function isNewEnough(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** Looks in this package's node_modules, then in those of the folders around it, as a resolver does. */
function packagedNode() {
  for (let folder = here; ; folder = dirname(folder)) {
    const path = join(
      folder,
      "node_modules",
      "node",
      "bin",
      process.platform === "win32" ? "node.exe" : "node",
    );
    if (existsSync(path)) return path;
    if (dirname(folder) === folder) return undefined;
  }
}

/** The published package holds built JavaScript: Node does not strip types below node_modules. */
function mainFile() {
  const built = join(here, "..", "dist", "cli", "holdfast.js");
  const source = join(here, "holdfast.ts");
  return existsSync(source) && !/[\\/]node_modules[\\/]/.test(source) ? source : built;
}

function relaunch(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url)].concat(process.argv.slice(2)), {
    stdio: "inherit",
    env: Object.assign({}, process.env, { [GUARD]: "1" }),
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"].concat(
    process.platform === "win32" ? [] : ["SIGUSR1", "SIGUSR2", "SIGWINCH"],
  );
  signals.forEach((signal) => process.on(signal, () => child.kill(signal)));
  child.on("error", (error) => {
    process.stderr.write(`holdfast: ${node} can't be started: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
      return;
    }
    // End as the child did, so that a shell sees the same signal.
    signals.forEach((name) => process.removeAllListeners(name));
    process.kill(process.pid, signal);
  });
}

if (isNewEnough(process.versions.node)) {
  delete process.env[GUARD];
  import(pathToFileURL(mainFile()).href).then(
    (main) => main.run(),
    (/** @type {unknown} */ error) => {
      process.stderr.write(`holdfast: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
    },
  );
} else {
  const node = process.env[GUARD] === undefined ? packagedNode() : undefined;
  if (node === undefined) {
    process.stderr.write(
      `holdfast needs Node ${NEEDED.join(".")} or later, and this is ${process.versions.node}: ` +
        "update it, or install the npm package `node` beside holdfast\n",
    );
    process.exitCode = 1;
  } else {
    relaunch(node);
  }
}
