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
  if (process.argv[2] === "keep") keepOutputsBlocking();
  const command = "sleep 0.5; head -c 3000000 /dev/zero";
  spawn("sh", ["-c", command], { stdio: "inherit" }).on("exit", (code) => process.exit(code));
  setTimeout(() => process.stdout.write("looked at "), 100);
`;

/** What a slow reader gets of it, and how it ended. */
async function readSlowly(word: string): Promise<{ bytes: number; code: number | null }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", PARENT, MODULE, word], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => (bytes += chunk.length));
  await once(child.stdout, "data");
  child.stdout.pause();
  await pause(1_500);
  child.stdout.resume();
  const [code] = (await once(child, "close")) as [number | null];
  return { bytes, code };
}

test("a command whose output nobody reads for a while waits, and loses nothing", async () => {
  expect(await readSlowly("keep")).toEqual({ bytes: "looked at ".length + 3_000_000, code: 0 });
});

test("which Node alone would not see to", async () => {
  expect((await readSlowly("let it be")).code).not.toBe(0);
});
