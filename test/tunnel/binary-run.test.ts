import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { buildBinary } from "../../dev/binary.ts";
import { type ModuleOnHost, startModule } from "../support/module-on-host.ts";
import type { Ran } from "../support/run.ts";
import { type BareRoot, bareRoot } from "./support/bare-root.ts";
import { authority, EGRESS, HOSTS, SERVERS, WIRE } from "./support/hosts.ts";
import { DROPPED_SECONDS } from "./support/limits.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";

/** `holdfast run` of the single-file binary, where there is no Node: busybox reaches a server by its name. */

const SERVER = SERVERS.http;
const URL = `http://${SERVER.name}:${SERVER.port}/who`;

let dir: string;
let root: BareRoot;
let stack: TunnelStack;
let server: ModuleOnHost;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-binary-"));
  root = await bareRoot(join(dir, "root"));
  root.install(await buildBinary(join(dir, "built")), "holdfast");
  stack = await startTunnel();
  root.add(stack.serverFiles.ca, "/etc/authority.pem");
  const module = join(import.meta.dirname, "support/caller-server.ts");
  server = await startModule(WIRE, "db", module, [HOSTS.db, String(SERVER.port)]);
});
afterAll(async () => {
  await stack?.stop(server);
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => expect(hostsFile()).toBe("127.0.0.1\tlocalhost\n"));

const hostsFile = () => readFileSync(join(root.dir, "etc/hosts"), "utf8");

/** Runs a command in the root, on the client's host. */
function onClient(command: readonly string[]): Promise<Ran> {
  const env = {
    HOLDFAST_URL: stack.env["HOLDFAST_URL"]!,
    HOLDFAST_DESTINATIONS: authority("http"),
    NODE_EXTRA_CA_CERTS: "/etc/authority.pem",
  };
  return root.run(command, env, WIRE.on("client"));
}

test("busybox wget reaches the server by its name, from the relay's address", async () => {
  const ran = await onClient(["holdfast", "run", "--no-proxies", "--", "wget", "-qO-", URL]);
  expect(ran).toMatchObject({ code: 0, stdout: expect.toBeOneOf([...EGRESS]) });
  expect(hostsFile()).toBe("127.0.0.1\tlocalhost\n");
});

test("busybox nc speaks TCP with it, and the end of either side arrives", async () => {
  const request = `printf 'GET /who HTTP/1.0\\r\\nHost: ${SERVER.name}\\r\\n\\r\\n' | nc ${SERVER.name} ${SERVER.port}`;
  const ran = await onClient(["holdfast", "run", "--", "sh", "-c", request]);
  expect(ran.code).toBe(0);
  expect(EGRESS).toContain(ran.stdout.split("\r\n\r\n")[1]);
});

test("it passes the command's exit code and arguments on, flags of Node's among them", async () => {
  const command = ["sh", "-c", 'echo "$@"; exit 7', "sh", "--eval=1", "--inspect"];
  const ran = await onClient(["holdfast", "run", "--", ...command]);
  expect(ran).toMatchObject({ code: 7, stdout: "--eval=1 --inspect\n" });
});

test("its watchdog, the same file, takes the name back when it is killed", async () => {
  // What is killed is not process 1, with which all others would end.
  const script = `
holdfast run -- sleep 600 2>/tmp/told & agent=$!
until grep -q ${SERVER.name} /etc/hosts; do sleep 0.1; done
kill -9 $agent
until ! grep -q ${SERVER.name} /etc/hosts; do sleep 0.1; done
echo clean`;
  expect(await onClient(["timeout", "60", "sh", "-c", script])).toMatchObject({ code: 0, stdout: "clean\n" });
});

test("whoever goes round it finds the server shut", async () => {
  const { code, stdout } = await onClient([
    "nc",
    "-w",
    String(DROPPED_SECONDS),
    HOSTS.db,
    String(SERVER.port),
  ]);
  expect([code, stdout]).toEqual([1, ""]);
  expect([...EGRESS]).toEqual(expect.arrayContaining([...new Set(await server.ask<string[]>({}))]));
});
