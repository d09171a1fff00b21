import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Command, UsageError } from "../../cli/command.ts";
import { auditCommand } from "../../cli/commands/audit.ts";
import { clientsCommand } from "../../cli/commands/clients.ts";
import { handleCommand } from "../../cli/commands/handle.ts";
import { tokenCommand } from "../../cli/commands/token.ts";
import { KEY_FILES } from "../../cli/init/keys.ts";
import { STATE_FILE } from "../../cli/init/plan.ts";
import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/index.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { type FakePool, startFakePool } from "../support/fake-pool.ts";
import { takesStream } from "../support/fake-stream.ts";
import { HOLDFAST } from "../support/holdfast-process.ts";
import { addClient, allRevocations, auditOf, thumbprintOf } from "../support/operator-calls.ts";
import { run } from "../support/run.ts";
import { openSocket, streamToken } from "../support/stream-caller.ts";

const DB = "tcp://db.example.com:5432";
let pool: FakePool;
let dir: string;

beforeAll(async () => {
  pool = await startFakePool(1, [DB]);
  pool.nodes[0]!.upgrade = takesStream(() => {});
  dir = mkdtempSync(join(tmpdir(), "holdfast-clients-"));
  write(STATE_FILE, { edge: pool.edge, clients: [] });
  write(KEY_FILES.operator, { kid: "operator", d: pool.operatorKey });
});
afterAll(async () => {
  await pool.stop();
  rmSync(dir, { recursive: true });
});

function write(path: string, value: unknown): string {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), JSON.stringify(value));
  return join(dir, path);
}

const holdfast = (command: string, args: readonly string[] = [], input?: string) =>
  run(process.execPath, [HOLDFAST, ...command.split(" "), ...args, "--out", dir], {
    ...(input !== undefined && { input }),
  });
interface Stored {
  readonly version: number;
  readonly record: Readonly<Record<string, unknown>> & {
    readonly keys: readonly { readonly exp?: number }[];
  };
}
const stored = async (id: string): Promise<Stored> => {
  const { value, version } = await adminCall(pool.operator, "GET", `/admin/clients/${id}`);
  return { version: Number(version!.slice(1, -1)), record: value as Stored["record"] };
};
const opens = async (relayUrl: string) => {
  const headers = { "Relay-Authorization": `Bearer ${await streamToken(relayUrl, DB)}` };
  const { socket, refused } = await openSocket(pool.edge, { headers });
  socket?.close();
  return refused?.code ?? "opened";
};

// Each starts processes.
const PATIENT = { timeout: 90_000 };

describe("holdfast clients", PATIENT, () => {
  test("adds a client with a key, and tells its URL once", async () => {
    const options = ["--allow", DB, "--limit", "streams=5", "--pool", "node-1"];
    const { code, stdout, stderr } = await holdfast("clients add shop", options);
    expect([code, stderr]).toEqual([0, "holdfast: shop is added\n"]);
    const relayUrl = stdout.trim();
    expect(relayUrl).toMatch(/^http:\/\/shop:[\w-]{43}@127\.0\.0\.1:\d+$/);
    expect(await opens(relayUrl)).toBe("opened");
    const { record } = await stored("shop");
    expect(record).toEqual({
      id: "shop",
      keys: [{ kty: "OKP", crv: "Ed25519", x: expect.any(String) }],
      allow: [DB],
      limits: { streams: 5 },
      pool: ["node-1"],
    });
    const secret = new URL(relayUrl).password;
    for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
      if (name.includes(".")) expect(readFileSync(join(dir, name), "utf8")).not.toContain(secret);
    }
    const again = await holdfast("clients add shop");
    expect([again.code, again.stdout]).toEqual([1, ""]);
    expect(again.stderr).toBe(
      "holdfast: request_invalid: shop is there already: `holdfast clients update shop` changes it\n",
    );

    const rotated = await holdfast("clients rotate shop", ["--overlap", "1h"]);
    expect(rotated.stderr).toMatch(
      /^holdfast: shop has a new key [\w-]{43}, version 2, good everywhere in 10 s; its old keys go on until \d{4}-.*Z\n$/,
    );
    expect(rotated.stdout).toMatch(/^http:\/\/shop:[\w-]{43}@127/);
    expect(rotated.stdout).not.toContain(secret);
    // The isolate that met the old key has yet to hear of the new one, for 10 s at most.
    expect(await opens(relayUrl)).toBe("opened");
    const { keys } = (await stored("shop")).record;
    expect(
      keys.map(({ exp }) => exp === undefined || Math.abs(exp - Date.now() / 1_000 - 3_600) < 60),
    ).toEqual([true, true]);

    const shown = await holdfast("clients show shop");
    expect(shown.stdout).toMatch(/^client {3}shop\nversion {2}2\nkey {6}[\w-]{43} {2}Ed25519, until .*\nkey/);
  });

  test("takes a public key, and replaces it at once by another", async () => {
    const [one, two] = [await generateClientKey(), await generateClientKey("ES256")];
    const file = write("one.jwk", one.publicJwk);
    const { code, stdout } = await holdfast("clients add keyed", ["--key", file, "--allow", DB]);
    expect([code, stdout]).toEqual([0, ""]);
    const options = ["--overlap", "0", "--key", JSON.stringify(two.publicJwk)];
    const rotated = await holdfast("clients rotate keyed", options);
    expect([rotated.code, rotated.stdout]).toEqual([0, ""]);
    expect(rotated.stderr).toContain("its old keys are no more");
    expect(await opens(pool.edge.replace("//", `//keyed:${two.privateKey}@`))).toBe("opened");
    const ended = (await allRevocations(pool)).filter(({ client }) => client === "keyed");
    expect(ended.map(({ kind, id }) => [kind, id])).toEqual([["key", await thumbprintOf(one.publicJwk)]]);
    const same = await holdfast("clients rotate keyed", ["--key", JSON.stringify(two.publicJwk)]);
    expect([same.code, same.stderr]).toEqual([1, expect.stringContaining("has this key already")]);
  });

  test("applies edits that come at the same time, each of them", async () => {
    await addClient(pool.operator, "busy", { allow: [DB] });
    const targets = ["https://a.test", "https://b.test", "https://c.test"];
    const edits = await Promise.all(
      targets.map((target) => holdfast("clients update busy", ["--add-allow", target])),
    );
    expect(edits.map(({ code }) => code)).toEqual([0, 0, 0]);
    const { version, record } = await stored("busy");
    expect(version).toBe(4);
    expect((record["allow"] as string[]).toSorted()).toEqual([...targets, DB]);
  });

  test("writes a whole record over the version that it came from, and no other", async () => {
    await addClient(pool.operator, "whole", { allow: [DB] });
    const { stdout } = await holdfast("clients show whole", ["--json"]);
    const shown = JSON.parse(stdout) as Stored;
    expect(shown).toEqual(await stored("whole"));
    const file = write("whole.json", { ...shown, record: { ...shown.record, allow: [] } });
    expect(await holdfast("clients update whole", ["--file", file])).toMatchObject({
      code: 0,
      stderr: "holdfast: whole is replaced, version 2\n",
    });
    // What others changed in between is not undone.
    const late = await holdfast("clients update whole", ["--file", file]);
    expect([late.code, late.stderr]).toEqual([1, expect.stringContaining("version_conflict")]);
    const bare = write("bare.json", { ...shown.record, allow: ["https://b.test"] });
    const unsaid = await holdfast("clients update whole", ["--file", bare]);
    expect([unsaid.code, unsaid.stderr]).toEqual([1, expect.stringContaining("--if-version")]);
    const said = await holdfast("clients update whole", ["--file", bare, "--if-version", "2"]);
    expect(said.code).toBe(0);
    expect((await stored("whole")).version).toBe(3);
  });

  test("removes a client, and says where the deployment's folder would bring it back", async () => {
    await addClient(pool.operator, "gone");
    write("clients/gone.json", {});
    const { code, stderr } = await holdfast("clients remove gone");
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^holdfast: gone is removed; what it handed over, .*\nholdfast: clients\/gone\.json in .* still has gone/,
    );
    const again = await holdfast("clients remove gone");
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(
      /^holdfast: not_found: no such client\n  mend: `holdfast clients list` .*\n$/,
    );
  });

  test("adds a client of a platform, and tells its URL, which has no key in it", async () => {
    const rule = "github,repository=acme/shop";
    const { code, stdout, stderr } = await holdfast("clients add keyless", ["--issuer", rule]);
    expect([code, stdout]).toEqual([0, `${pool.edge.replace("//", "//keyless@")}\n`]);
    expect(stderr).toContain("keyless may reach nothing yet: `holdfast clients update keyless --add-allow");
    await holdfast("clients update keyless", ["--set", "mode=report"]);
    const shown = await holdfast("clients show keyless");
    expect(shown.stdout).toMatch(new RegExp(`\nissuer {3}${rule}\n(.*\n)*mode {5}REPORT: `));
  });

  test("what the edge refuses is told", async () => {
    const { code, stdout, stderr } = await holdfast("clients add bad", [
      "--allow",
      "bank.com",
      "--set",
      "x=1",
    ]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("unknown keys: x");
    expect(stderr).toContain('"bank.com" is not of the form');
  });

  test("is called in another way: 2, and the ways to call it", async () => {
    const { code, stderr } = await holdfast("clients update shop", ["--allow", DB]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^holdfast clients: update takes no --allow: say --add-allow.*\n\nUsage: holdfast clients list(.*\n)+holdfast clients --help tells more\.\n$/,
    );
    const nowhere = await run(process.execPath, [HOLDFAST, "clients", "list", "--out", join(dir, "nowhere")]);
    expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining("takes the operator key")]);
  });
});

test(
  "holdfast clients list and holdfast audit tell all of it, to people and to programs",
  PATIENT,
  async () => {
    await addClient(pool.operator, "told", { allow: [DB] });
    const list = await holdfast("clients list");
    expect(list.stdout).toMatch(
      /^ID +VERSION +KEYS +ISSUERS +ALLOW +POOL +LIMITS +MODE\napp +1 +1 +0 +tcp:.* enforce\n/,
    );
    const clients = JSON.parse((await holdfast("clients list", ["--json"])).stdout) as Stored[];
    expect(clients.map(({ record }) => record["id"])).toEqual(expect.arrayContaining(["app", "told"]));

    const audit = await holdfast("audit", ["--client", "told"]);
    expect(audit.stdout).toMatch(
      /^\d{4}-\S+Z {2}operator {2}client\.add {2}told {2}version 1 {2}allow \+tcp:\S+; keys \+[\w-]{43}\n$/,
    );
    expect(JSON.parse((await holdfast("audit", ["--client", "told", "--json"])).stdout)).toEqual(
      await auditOf(pool.operator, "told"),
    );
  },
);

test(
  "holdfast handle lists a client's handles; holdfast token revokes a token with them",
  PATIENT,
  async () => {
    const { relayUrl, publicJwk } = await addClient(pool.operator, "handled", { allow: [DB] });
    const newToken = () => createScopeToken(relayUrl, { act: "stream", allow: [DB], ttlSeconds: 600 });
    const [one, two] = [await newToken(), await newToken()];
    const handle = (await holdfast("handle", [], one)).stdout.trim();
    const list = await holdfast("handle --list --client handled");
    expect(list.stdout).toMatch(
      /^ID +ACT +UNTIL +KEY +ALLOW\n[\w-]{22} +stream +\d{4}-\S+Z +[\w-]{43} +tcp:\S+\n$/,
    );
    expect(list.stdout).not.toContain(handle);
    const listed = JSON.parse((await holdfast("handle --list --client handled --json")).stdout) as object[];
    expect(listed).toMatchObject([
      { act: "stream", key: await thumbprintOf(publicJwk), token: decodeJwt(one).jti },
    ]);

    const revoked = await holdfast("token --revoke -", [], one);
    expect([revoked.code, revoked.stdout]).toEqual([0, ""]);
    expect(revoked.stderr).toBe(`holdfast: token ${decodeJwt(one).jti} of handled is revoked\n`);
    const { jti } = decodeJwt(two);
    expect((await holdfast("token", [`--revoke=${jti}`, "--client", "handled"])).code).toBe(0);
    expect((await holdfast("handle --list --client handled --json")).stdout).toBe("[]\n");
    const told = (await allRevocations(pool)).filter(({ client }) => client === "handled");
    expect(told.map(({ kind }) => kind)).toEqual(["token", "handle", "token"]);
  },
);

test.each<[name: string, command: Command, args: string, told: string]>([
  ["handle", handleCommand, "--list", "say whose"],
  ["handle", handleCommand, "--client app", "go with --list"],
  ["handle", handleCommand, "--list --client app --revoke x", "say --list or --revoke"],
  ["token", tokenCommand, "--revoke s3cr3t.s3cr3t.s3cr3t", "comes from stdin"],
  ["token", tokenCommand, "--revoke AAAAAAAAAAAAAAAAAAAAAA", "say whose it is"],
  ["token", tokenCommand, "--revoke - --act stream", "--revoke takes --client and --out alone"],
  ["token", tokenCommand, "--client app", "go with --revoke"],
  ["audit", auditCommand, "--limit 0", "--limit takes a number"],
  ["audit", auditCommand, "--client No", "--client takes a client's id"],
  ["audit", auditCommand, "--nonsense", "Unknown option"],
])("holdfast %s is not called so", async (_name, command, args, told) => {
  const problem = await command.run(args.split(" ")).catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(UsageError);
  expect((problem as Error).message).toContain(told);
  expect((problem as Error).message).not.toContain("s3cr3t");
});

test.each<[name: string, command: Command, options: string]>([
  [
    "clients",
    clientsCommand,
    "allow add-allow remove-allow key add-key remove-key issuer add-issuer remove-issuer limit pool set file if-version overlap json out",
  ],
  ["audit", auditCommand, "client limit json out"],
  ["handle", handleCommand, "list client json revoke out"],
  ["token", tokenCommand, "act allow ttl node revoke client out"],
])("the help of holdfast %s tells its options and exit codes", (_name, { help }, options) => {
  for (const option of options.split(" ")) expect(help).toMatch(new RegExp(`--${option}\\b`));
  expect(help).toContain("Exit codes: 0");
  expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(128);
});
