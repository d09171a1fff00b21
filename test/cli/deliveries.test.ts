import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countDeliveries } from "../../cli/deliveries/calls.ts";
import { KEY_FILES } from "../../cli/init/keys.ts";
import { STATE_FILE } from "../../cli/init/plan.ts";
import { handOver } from "../support/deliveries.ts";
import { type FakePool, startFakePool, targets } from "../support/fake-pool.ts";
import { HOLDFAST } from "../support/holdfast-process.ts";
import { addClient } from "../support/operator-calls.ts";
import { run } from "../support/run.ts";

/** `holdfast routes` and `holdfast deliveries`, as an operator types them. */

const TARGET = "https://target.example.com";
let pool: FakePool;
let dir: string;

beforeAll(async () => {
  pool = await startFakePool(1, [TARGET]);
  dir = mkdtempSync(join(tmpdir(), "holdfast-routes-"));
  write(STATE_FILE, { edge: pool.edge, clients: [] });
  write(KEY_FILES.operator, { kid: "operator", d: pool.operatorKey });
});
afterAll(async () => {
  await pool.stop();
  rmSync(dir, { recursive: true });
});

function write(path: string, value: unknown): string {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), typeof value === "string" ? value : JSON.stringify(value));
  return join(dir, path);
}

const holdfast = (
  command: string,
  args: readonly string[] = [],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
) => run(process.execPath, [HOLDFAST, ...command.split(" "), ...args, "--out", dir], options);

// Each starts processes.
const PATIENT = { timeout: 90_000 };

describe("holdfast routes", PATIENT, () => {
  const ADD = ["--client", "app", "--target", `${TARGET}/hooks`];

  test("adds a route with a secret from a file, a variable or stdin, and never tells it", async () => {
    const secret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    const file = write("secret.txt", `${secret}\n`);
    for (const [id, args, options] of [
      ["by-file", ["--secret-file", file], {}],
      ["by-env", ["--secret-env", "HOOK_SECRET"], { env: { HOOK_SECRET: secret } }],
      ["by-stdin", ["--secret-file", "-"], { input: `${secret}\n` }],
    ] as const) {
      const added = await holdfast(
        `routes add ${id}`,
        [...ADD, "--verifier", "standard-webhooks", ...args],
        options,
      );
      expect(added).toEqual({
        code: 0,
        stdout: "",
        stderr: `holdfast: ${id} is added: ${pool.edge}/hooks/${id}\n`,
      });
    }
    const { stdout } = await holdfast("routes list --json");
    expect(stdout).not.toContain(secret);
    const prints = (JSON.parse(stdout) as { record: { verifier: { secrets: { print: string }[] } } }[]).map(
      ({ record }) => record.verifier.secrets[0]!.print,
    );
    // One secret, whatever it came by.
    expect(new Set(prints).size).toBe(1);
  });

  test("makes secrets, tells them once, and rotates them", async () => {
    const added = await holdfast("routes add made", [
      ...ADD,
      "--verifier",
      "github",
      "--new-secret",
      "--new-sign",
    ]);
    expect(added.stdout).toMatch(/^[\w-]{43}\nwhsec_[A-Za-z0-9+/]{43}=\n$/);
    const rotated = await holdfast("routes rotate made --new-secret");
    expect(rotated.stderr).toMatch(
      /^holdfast: made has a new secret, version 2, .* the old one goes on until --end\n/,
    );
    expect(rotated.stdout).toMatch(/^[\w-]{43}\n$/);
    expect(added.stdout).not.toContain(rotated.stdout);
    const again = await holdfast("routes rotate made --new-secret");
    expect([again.code, again.stdout]).toEqual([1, ""]);
    expect(again.stderr).toContain("`holdfast routes rotate made --end` drops it");
    const shown = await holdfast("routes show made");
    expect(shown.stdout).toMatch(/\nsecret {5}[\w-]{12}\nsecret {5}[\w-]{12} \(old\)\n/);
    expect((await holdfast("routes rotate made --end")).stderr).toBe(
      "holdfast: made has dropped the old secret, version 3\n",
    );
    expect((await holdfast("routes show made")).stdout).not.toContain("(old)");
  });

  test("changes, pauses, removes and makes again", async () => {
    await holdfast("routes add edit", [...ADD, "--verifier", "none"]);
    const changed = await holdfast("routes update edit", [
      "--order",
      "all",
      "--schedule",
      "0,5s,5m",
      "--keep",
      "dead=60",
    ]);
    expect(changed.stderr).toBe("holdfast: edit is changed, version 2\n");
    expect((await holdfast("routes update edit --order all")).stderr).toBe("holdfast: edit is so already\n");
    const file = write("edit.json", (await holdfast("routes show edit --json")).stdout);
    await holdfast("routes update edit --order none");
    const stale = await holdfast("routes update edit", ["--file", file]);
    expect([stale.code, stale.stderr]).toEqual([1, expect.stringContaining("version_conflict")]);

    await holdfast("routes pause edit", ["--reason", "moving house"]);
    const listed = (await holdfast("routes list")).stdout.split("\n").find((line) => line.startsWith("edit"));
    expect(listed).toMatch(/^edit +3 +app +https:.* +none +none +since \d{4}-.*Z by operator: moving house$/);
    expect((await holdfast("routes resume edit")).stderr).toContain(
      "route:edit goes on; it was paused since",
    );
    await holdfast("routes remove edit");
    const again = await holdfast("routes add edit", [...ADD, "--verifier", "none"]);
    expect(again.stderr).toMatch(
      /is added: .*\n.*its verifier is none\n.*route:edit is paused since .*: the route was removed\n.*`holdfast deliveries resume --route edit`\n$/,
    );
  });

  test("tells what is wrong with a route, and its secret in no message", async () => {
    const wrong = await holdfast(
      "routes add wrong",
      [...ADD, "--verifier", "standard-webhooks", "--secret-file", "-"],
      {
        input: "hunter2",
      },
    );
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("verifier.secrets.0 must be whsec_");
    expect(wrong.stderr).not.toContain("hunter2");
    const missing = await holdfast("routes add wrong", [
      ...ADD,
      "--verifier",
      "stripe",
      "--secret-env",
      "NOT_SET",
    ]);
    expect(missing.stderr).toContain("the variable NOT_SET is not set");
    expect((await holdfast("routes show nothing")).stderr).toMatch(/^holdfast: not_found: no such route\n/);
  });
});

describe("holdfast deliveries", PATIENT, () => {
  test("lists, counts, shows, replays, purges, pauses and resumes", async () => {
    const node = pool.nodes[0]!;
    node.answer = targets("out \u001b[2J of order", 500);
    const { relayUrl } = await addClient(pool.operator, "shop", { allow: [TARGET] });
    const hand = async (n: number) => {
      const call = { method: "POST", url: `${TARGET}/${n}`, framing: 2 };
      return (await handOver(relayUrl, call, "{}", { key: `order ${n}`, schedule: [0] })).json[
        "id"
      ] as string;
    };
    const [one, two] = [await hand(1), await hand(2)];
    const settled = (counts: object) =>
      expect
        .poll(() => countDeliveries(pool.operator, "client:shop"), { timeout: 20_000 })
        .toMatchObject(counts);
    await settled({ dead: 2 });
    expect((await holdfast("deliveries counts --client shop")).stdout).toMatch(
      /^of +client:shop\npaused +-\naccepted +2\ndelivered +0\npending +0\ndead +2\npurged +0\n$/,
    );

    const listed = await holdfast("deliveries list --client shop --state dead --since 2h");
    expect(listed.stdout).toMatch(/^ID +ACCEPTED +STATE/);
    expect(listed.stdout).toContain("the target answered 500");
    const json = JSON.parse((await holdfast("deliveries list --client shop --json")).stdout) as {
      id: string;
    }[];
    expect(json.map(({ id }) => id)).toEqual([two, one]);
    expect((await holdfast("deliveries list --client shop --until 2h")).stdout.split("\n")).toHaveLength(2);

    const shown = (await holdfast(`deliveries show ${one} --client shop`)).stdout;
    expect(shown).toMatch(/\n1 +\d{4}-.*Z +\d+ ms +answered +500 +node-1 /);
    expect(shown).toContain("The last answer was 500, with 17 bytes:\n\nout \\u{1b}[2J of order\n");

    await holdfast("deliveries pause --client shop", ["--reason", "later"]);
    node.answer = targets("ok");
    const held = await holdfast(`deliveries replay ${one} --client shop`);
    expect(held.stderr).toMatch(
      /is pending, and tried at once\n.*is paused since .*: later\n.*resume --client shop`\n$/,
    );
    await settled({ pending: 1, dead: 1, pause: { by: "operator", reason: "later" } });
    for (const ask of ["list", `show ${one}`]) {
      const told = (await holdfast(`deliveries ${ask} --client shop`)).stderr;
      expect(told).toMatch(/^holdfast: client:shop is paused since .*: later\n.*resume --client shop`\n$/);
    }
    await holdfast("deliveries resume --client shop");
    await settled({ delivered: 1, pending: 0, dead: 1, pause: null });

    const swept = await holdfast("deliveries replay --client shop --state dead --since 1d --rate 10");
    expect(swept.stderr).toMatch(
      /^holdfast: replay of what is dead, accepted since \d{4}-.*Z has begun, 10 per second; `counts` tells how it goes\n$/,
    );
    await settled({ delivered: 2 });
    expect((await holdfast(`deliveries purge ${two} --client shop`)).stderr).toBe(
      `holdfast: ${two} is purged\n`,
    );
    await settled({ accepted: 2, delivered: 1, pending: 0, dead: 0, purged: 1 });
    const gone = await holdfast(`deliveries show ${two} --client shop`);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining("delivery_unknown")]);
    const empty = await holdfast("deliveries skip --client shop --lane a");
    expect(empty.stderr).toContain("nothing is pending in this lane");

    await holdfast("clients remove shop");
    const again = await holdfast("clients add shop");
    expect(again.stderr).toMatch(
      /shop is added\n.*client:shop is paused since .*: the client shop was removed\n.*resume --client shop`\n/,
    );
    const { stdout } = await holdfast("audit --client shop");
    expect(stdout).toMatch(/deliveries\.purge +shop client:shop +- +id "dlv_/);
    expect(stdout).toMatch(/deliveries\.replay +shop client:shop +- +filter state "dead" from \d+; rate 10/);
  });
});
