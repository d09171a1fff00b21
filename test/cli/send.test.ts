import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeliveryDetail } from "../../client/index.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { freePort } from "../support/stack.ts";

const ENTRY = join(import.meta.dirname, "../../cli/holdfast.mjs");

let bench: Bench;
let nobody: string;
beforeAll(async () => {
  nobody = `http://localhost:${await freePort()}`;
  bench = await startBench([nobody]);
});
afterAll(() => bench.stop());

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function send(args: readonly string[], stdin = ""): Promise<Outcome> {
  const child = spawn(process.execPath, [ENTRY, "send", ...args], {
    env: { ...process.env, HOLDFAST_URL: bench.relayUrl },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  return new Promise((done) => child.on("close", (code) => done({ code, stdout, stderr })));
}

const ID = /^dlv_[\w-]{23}$/;

test("hands a request over, and writes its id", async () => {
  const target = `${bench.tls.url}/in?a=b`;
  const call = ["-X", "PUT", "-H", "X-Own: yes", "-d", "a=1", "-d", "b=2", "--key", "order-1", target];
  const { code, stdout, stderr } = await send(call);
  expect([code, stderr]).toEqual([0, "holdfast: stored\n"]);
  expect(stdout.trimEnd()).toMatch(ID);
  const { head, body, ended } = await bench.tls.request();
  await ended;
  expect([head.start, body.content.toString()]).toEqual(["PUT /in?a=b HTTP/1.1", "a=1&b=2"]);
  const fields = Object.fromEntries(head.fields.map(([name, value]) => [name.toLowerCase(), value]));
  expect(fields).toMatchObject({ "x-own": "yes", "content-type": "application/x-www-form-urlencoded" });
  const again = await send(["-X", "PUT", "-d", "a=1&b=2", "--key", "order-1", "--json", target]);
  expect([again.code, JSON.parse(again.stdout)]).toEqual([0, { id: stdout.trimEnd(), status: "duplicate" }]);
});

test("waits until it is delivered, with a body from stdin", async () => {
  const { code, stdout } = await send(["--wait", "-d", "@-", bench.tls.url], "from stdin");
  expect(code).toBe(0);
  const [id, state, first] = stdout.split("\n");
  expect([ID.test(id!), state]).toEqual([true, "delivered"]);
  expect(first).toMatch(/^ {2}1\. \d{4}-\S+Z {2}HTTP 200 {2}by node-1 from 127\.0\.0\.2$/);
  const { body } = await bench.tls.request();
  expect(body.content.toString()).toBe("from stdin");
  const shown = await send(["--show", id!, "--json"]);
  expect([shown.code, (JSON.parse(shown.stdout) as DeliveryDetail).state]).toEqual([0, "delivered"]);
});

test("tells that it was given up, and why", async () => {
  const { code, stdout } = await send(["--wait", "--schedule", "0s,0.1", "-d", "x", nobody]);
  expect(code).toBe(22);
  expect(stdout).toContain("dead: connect_refused");
  expect(stdout.match(/connect_refused {2}by node-1/g)).toHaveLength(2);
});

test("tells what goes on where there is no more time to wait", async () => {
  const { code, stdout, stderr } = await send(["--wait", "-m", "2", "--schedule", "0,1h", "-d", "x", nobody]);
  expect(code).toBe(1);
  expect(stderr).toContain(`${stdout.trim()} has not ended yet, and goes on`);
});

test("says of a delivery that is not there nothing of a target", async () => {
  const { code, stderr } = await send(["--show", `dlv_A${"A".repeat(22)}`]);
  expect([code, stderr.split(":")[1]]).toEqual([1, " delivery_unknown"]);
  expect(stderr).not.toContain("reached");
});

test.for([
  [["https://localhost:1/"], 1, "target_not_allowed"],
  [["--show", "dlv_none"], 1, "no delivery's id"],
  [[], 2, "give exactly one URL"],
  [["--schedule", "soon", "https://localhost:1/"], 2, "--schedule takes the time before each attempt"],
  [["--show", "dlv_x", "-d", "x"], 2, "--show tells of what was handed over"],
] as const)("%j ends with %i", async ([args, code, said]) => {
  const outcome = await send(args);
  expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
  expect(outcome.stderr).toContain(said);
});
