import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withLock } from "../../cli/agent/file-lock.ts";
import { editHosts } from "../../cli/agent/hosts-file.ts";
import {
  addLines,
  alsoNamed,
  isSame,
  ownersIn,
  removeLines,
  withoutNames,
} from "../../cli/agent/hosts-lines.ts";
import { mapByHosts } from "../../cli/agent/hosts-map.ts";
import { isGone, ownIdentity } from "../../cli/agent/process-identity.ts";
import { eventually } from "../support/node-log.ts";

const AGENT = resolve(import.meta.dirname, "../support/names-agent.ts");
const ORIGINAL = "127.0.0.1 localhost\n# d\xe9j\xe0 vu\r\n\n10.0.0.1\tdb.example.com alias # theirs\n::1 ip6";
const ENTRY = { host: "db.example.com", address: "127.70.1.1" };
const LINE = /^127\.70\.1\.1 db\.example\.com # holdfast pid=\d+ start=\d+ ns=\d+$/m;

let folder: string;
let path: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-hosts-"));
  path = join(folder, "hosts");
  writeFileSync(path, ORIGINAL, "latin1");
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

function hosts(): string {
  return readFileSync(path, "latin1");
}

/** Starts an agent of its own process, and waits until its names are there. */
async function agent(...entries: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [AGENT, path, ...entries], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

/** Processes whose command line names this test's file and the cleanup: its watchdogs. */
async function watchdogs(): Promise<string[]> {
  const child = spawn("ps", ["-eo", "pid,sid,args"], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout) text += String(chunk);
  return text.split("\n").filter((line) => line.includes(`hosts-cleanup ${path} `));
}

describe("the text", () => {
  const owner = { pid: 7, start: "100", space: "4026531836" };
  const other = { pid: 7, start: "200", space: "4026531836" };

  test("a line is added in front, and says whose it is", () => {
    expect(addLines("127.0.0.1 localhost\n", owner, [ENTRY])).toBe(
      "127.70.1.1 db.example.com # holdfast pid=7 start=100 ns=4026531836\n127.0.0.1 localhost\n",
    );
  });

  test("two owners' lines of the same host are told apart", () => {
    const both = addLines(addLines(ORIGINAL, owner, [ENTRY]), other, [ENTRY]);
    expect(ownersIn(both)).toEqual([other, owner]);
    expect(removeLines(both, (one) => isSame(one, other))).toBe(addLines(ORIGINAL, owner, [ENTRY]));
    expect(removeLines(both, () => true)).toBe(ORIGINAL);
  });

  test.each([
    "1.2.3.4 x # holdfast pid=7 start=100",
    "1.2.3.4 x # holdfast pid=7 start=100 ns=1 and more",
    "1.2.3.4 x # by hand # holdfast pid=7 start=100 ns=1",
    "# holdfast",
  ])("a line that only looks like ours stays: %s", (line) => {
    expect(removeLines(`${line}\n`, () => true)).toBe(`${line}\n`);
  });

  test("whatever stands in the file comes through byte for byte", () => {
    const line = fc.oneof(fc.string(), fc.constantFrom("\r", "\t", "127.0.0.1 a b", "#", "", ORIGINAL));
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const text = Buffer.from(lines.join("\n")).toString("latin1");
        fc.pre(ownersIn(text).length === 0);
        expect(removeLines(addLines(text, owner, [ENTRY, ENTRY]), (one) => isSame(one, owner))).toBe(text);
      }),
    );
  });

  test("other lines of a host are found", () => {
    const text = addLines(ORIGINAL, owner, [{ host: "ip7", address: "127.70.1.2" }]);
    expect(alsoNamed(text, ["db.example.com", "ip6", "ip7", "theirs", "10.0.0.1"])).toEqual([
      "db.example.com",
      "ip6",
    ]);
  });

  test("names are left out of a copy", () => {
    expect(withoutNames("1.1.1.1 a b\n2.2.2.2\tA # c\n3.3.3.3 c\n", ["a"])).toBe("1.1.1.1 b\n3.3.3.3 c\n");
  });
});

describe("the file", () => {
  test.each([
    ["grows", "a longer text than before, by far: ".repeat(9_000)],
    ["shrinks", "short"],
    ["becomes empty", ""],
    ["stays as long", ORIGINAL.toUpperCase()],
  ])("%s in place", async (_, text) => {
    const { ino } = statSync(path);
    await editHosts(path, (before) => {
      expect(before).toBe(ORIGINAL);
      return text;
    });
    expect(hosts()).toBe(text);
    expect(statSync(path).ino).toBe(ino);
  });

  test("is not written where nothing changes", async () => {
    const { mtimeMs } = statSync(path);
    await editHosts(path, (text) => text);
    expect(statSync(path).mtimeMs).toBe(mtimeMs);
  });

  test("a full disk leaves it as it was", async () => {
    const script = `
      import { readFileSync, writeFileSync } from "node:fs";
      import { editHosts } from ${JSON.stringify(resolve(import.meta.dirname, "../../cli/agent/hosts-file.ts"))};
      writeFileSync("/mnt/hosts", "x".repeat(4000));
      let code = "none";
      await editHosts("/mnt/hosts", (text) => "y".repeat(1e6) + text).catch((error) => (code = error.code));
      process.stdout.write(code + " " + (readFileSync("/mnt/hosts", "utf8") === "x".repeat(4000)));`;
    const child = spawn(
      "unshare",
      [
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=64k none /mnt && exec "$0" "$@"',
        process.execPath,
        "--input-type=module",
        "-e",
        script,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let said = "";
    for await (const chunk of child.stdout) said += String(chunk);
    expect(said).toBe("ENOSPC true");
  });
});

describe("the lock", () => {
  test("lets one work at a time", async () => {
    const order: string[] = [];
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        withLock(
          `holdfast-test-${process.pid}`,
          () => order.push(`in ${index}`) && order.push(`out ${index}`),
        ),
      ),
    );
    expect(order).toHaveLength(40);
    for (let index = 0; index < 40; index += 2) {
      expect(order[index + 1]).toBe(order[index]!.replace("in", "out"));
    }
  });

  test("of a process that was killed is free at once", async () => {
    const name = `holdfast-test-killed-${process.pid}`;
    const script = `require("node:net").createServer().listen({ path: "\\0${name}" }, () => console.log("held"))`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    await once(child.stdout, "data");
    let done = false;
    const mine = withLock(name, () => (done = true));
    expect(done).toBe(false);
    child.kill("SIGKILL");
    await mine;
    expect(done).toBe(true);
  });
});

describe("who is gone", () => {
  test("is told by pid and start", async () => {
    const me = ownIdentity();
    expect(isGone(me)).toBe(false);
    expect(isGone({ ...me, start: "1" })).toBe(true);
    expect(isGone({ ...me, start: "1", space: "1" })).toBe(false);
    const child = spawn("true");
    await once(child, "exit");
    expect(isGone({ ...me, pid: child.pid! })).toBe(true);
  });
});

describe("names in a hosts file", () => {
  test("are there while the map is open, and all is as before after it", async () => {
    const map = await mapByHosts([ENTRY], path);
    expect(hosts()).toMatch(LINE);
    expect(hosts().endsWith(ORIGINAL)).toBe(true);
    expect(await watchdogs()).toHaveLength(1);
    await Promise.all([map.close(), map.close()]);
    expect(hosts()).toBe(ORIGINAL);
    expect(await watchdogs()).toEqual([]);
  });

  test("what others wrote meanwhile stays", async () => {
    const map = await mapByHosts([ENTRY], path);
    writeFileSync(path, `${hosts()}\n10.1.1.1 other\n`, "latin1");
    await map.close();
    expect(hosts()).toBe(`${ORIGINAL}\n10.1.1.1 other\n`);
  });

  test("are taken out after kill -9, by a watchdog in a session of its own that ends then", async () => {
    const child = await agent("db.example.com=127.70.1.1");
    expect(hosts()).toMatch(LINE);
    const [dog, ...more] = await watchdogs();
    expect(more).toEqual([]);
    const [pid, session] = dog!.trim().split(/\s+/);
    expect(session).toBe(pid);
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
    expect(environment.replaceAll(/(PWD|OLDPWD|SHLVL|_)=[^\0]*\0/g, "")).toBe("");
    process.kill(Number(pid), "SIGINT");
    process.kill(Number(pid), "SIGTERM");
    child.kill("SIGKILL");
    await eventually(() => hosts() === ORIGINAL, "the watchdog has cleaned up");
    await eventually(async () => (await watchdogs()).length === 0, "the watchdog has ended");
  });

  test("that nobody took out are taken out by the next start", async () => {
    const child = await agent("db.example.com=127.70.1.1");
    const [dog] = await watchdogs();
    process.kill(Number(dog!.trim().split(/\s+/)[0]), "SIGKILL");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(hosts()).toMatch(LINE);
    const map = await mapByHosts([{ host: "other.example.com", address: "127.70.1.2" }], path);
    expect(hosts()).not.toMatch(LINE);
    expect(hosts()).toContain("127.70.1.2 other.example.com # holdfast");
    await map.close();
    expect(hosts()).toBe(ORIGINAL);
  });

  test("many agents at once: each has its own lines, and takes those out alone", async () => {
    const agents = await Promise.all(
      Array.from({ length: 5 }, (_, index) => agent(`same.example.com=127.70.2.${index + 1}`)),
    );
    expect(ownersIn(hosts())).toHaveLength(5);
    expect(hosts().endsWith(ORIGINAL)).toBe(true);
    agents[0]!.kill("SIGKILL");
    agents[1]!.stdin!.end();
    await once(agents[1]!, "exit");
    await eventually(() => ownersIn(hosts()).length === 3, "two of them are gone");
    expect(hosts()).not.toMatch(/127\.70\.2\.[12] /);
    expect(hosts()).toMatch(/127\.70\.2\.5 /);
    for (const child of agents.slice(2)) child.stdin!.end();
    await Promise.all(agents.slice(2).map((child) => once(child, "exit")));
    expect(hosts()).toBe(ORIGINAL);
  });

  test("a file that can't be written is an error, and leaves no watchdog", async () => {
    await expect(mapByHosts([ENTRY], join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(mapByHosts([ENTRY], folder)).rejects.toMatchObject({ code: "EISDIR" });
    expect(hosts()).toBe(ORIGINAL);
  });
});
