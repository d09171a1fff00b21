import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HoldfastProcess, LISTENING, startHoldfast } from "../support/holdfast-process.ts";
import { startStreamRelay, type StreamRelay } from "../support/stream-relay.ts";

let relay: StreamRelay;

beforeAll(async () => {
  relay = await startStreamRelay();
});
afterAll(() => relay.close());

function run(command: readonly string[], wrap: readonly string[]): HoldfastProcess {
  return startHoldfast(["run", "-q", "--to", "127.0.0.1:1", "--names", "env", "--", ...command], {
    env: { HOLDFAST_URL: relay.url },
    wrap,
  });
}

describe("as process 1 of a container", () => {
  // Without root, a user namespace of one's own allows the same.
  const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
  const inContainer = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", ...asRoot];

  test.each([
    ["by itself", inContainer],
    ["under tini", [...inContainer, "tini", "--"]],
  ])("%s it passes signals and codes on", async (_, wrap) => {
    const running = run(LISTENING, wrap);
    await running.says("ready");
    // The namespace's first process is unshare's only child.
    const { pid } = running.child;
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    process.kill(Number(first), "SIGTERM");
    const ended = await running.ended;
    expect(ended.stdout).toBe("ready\ngot SIGTERM\n");
    expect(ended.code).toBe(3);
  });

  test.each([
    ["by itself", inContainer],
    ["under tini", [...inContainer, "tini", "--"]],
  ])("%s it tells of a signal by its code", async (_, wrap) => {
    const ended = await run(["sh", "-c", "kill -TERM $$"], wrap).ended;
    expect([ended.code, ended.signal]).toEqual([143, null]);
  });

  test("tini takes up what the command leaves behind", async () => {
    const script = "(sh -c 'sleep 0.2; exit 0' &) ; sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status; true";
    const ended = await run(["sh", "-c", script], [...inContainer, "tini", "--"]).ended;
    expect(ended).toMatchObject({ code: 0, stdout: "" });
  });
});
