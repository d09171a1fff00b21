import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";

const MODULE = resolve(import.meta.dirname, "../../cli/agent/shared-output.ts");

/** A parent that shares its outputs with a command and looks at them while it runs. */
const PARENT = `
  import { spawn } from "node:child_process";
  const { keepOutputsBlocking } = await import(process.argv[1]);
  keepOutputsBlocking();
  const command = "sleep 0.5; head -c 3000000 /dev/zero";
  spawn("sh", ["-c", command], { stdio: "inherit" }).on("exit", (code) => process.exit(code));
  setTimeout(() => process.stdout.write("looked at "), 100);
`;

test("a command whose output nobody reads for a while waits, and loses nothing", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", PARENT, MODULE], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => (bytes += chunk.length));
  await once(child.stdout, "data");
  child.stdout.pause();
  await pause(1_500);
  child.stdout.resume();
  const [code] = (await once(child, "close")) as [number | null];
  expect({ bytes, code }).toEqual({ bytes: "looked at ".length + 3_000_000, code: 0 });
});
