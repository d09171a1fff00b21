import { execFile } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CONSUMED_MEMORY_SECONDS } from "../../protocol/limits.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { ConsumedIds } from "../../relay-node/consumed.ts";
import { outcome } from "../protocol/outcome.ts";

let dir = "";
const opened: ConsumedIds[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "holdfast-consumed-"));
});
afterEach(() => {
  for (const ids of opened.splice(0)) ids.close();
  rmSync(dir, { recursive: true });
});

/** A real moment, since files carry the system's times. */
const NOW = Math.floor(Date.now() / 1_000);

function open(now = NOW, boot = "boot-1", state = dir): ConsumedIds {
  const ids = new ConsumedIds(state, now, boot);
  opened.push(ids);
  return ids;
}

const consume = (ids: ConsumedIds, id: string, now = NOW, issued = now) =>
  outcome(() => ids.consume(id, issued, now));
const TAKEN = { value: undefined };
const REPLAYED = { error: "token_replayed" };
const files = () => readdirSync(dir).toSorted();

describe("an id", () => {
  test("is taken once, whatever else is taken", () => {
    const ids = open();
    const some = Array.from({ length: 100 }, newRequestId);
    for (const id of some) expect(consume(ids, id)).toEqual(TAKEN);
    for (const id of some) expect(consume(ids, id)).toEqual(REPLAYED);
    expect(consume(ids, newRequestId())).toEqual(TAKEN);
  });

  test("stands in the file before it is taken, and nobody else may read it", () => {
    const ids = open();
    const id = newRequestId();
    consume(ids, id);
    const [file] = files();
    expect(readFileSync(join(dir, file!), "utf8")).toContain(id);
    expect(statSync(join(dir, file!)).mode & 0o777).toBe(0o600);
  });

  test("is remembered over any number of starts, in the same second or later", () => {
    const used: string[] = [];
    for (const now of [NOW, NOW, NOW, NOW + 1, NOW + 5, NOW + 5]) {
      const ids = open(now);
      for (const id of used) expect(consume(ids, id, now)).toEqual(REPLAYED);
      used.push(newRequestId());
      expect(consume(ids, used.at(-1)!, now)).toEqual(TAKEN);
    }
  });

  test("of a first life that was never closed is remembered", () => {
    const id = newRequestId();
    consume(open(), id);
    expect(consume(open(), id)).toEqual(REPLAYED);
  });
});

describe("generations", () => {
  test("an id is remembered for as long as any token can be good, and no file stays for ever", () => {
    const ids = open();
    const everyTen = Array.from({ length: 100 }, (_, i) => ({ id: newRequestId(), at: NOW + i * 10 }));
    for (const { id, at } of everyTen) {
      expect(consume(ids, id, at)).toEqual(TAKEN);
      for (const old of everyTen) {
        if (old.at <= at && at - old.at <= CONSUMED_MEMORY_SECONDS) {
          expect(consume(ids, old.id, at)).toEqual(REPLAYED);
        }
      }
    }
    expect(files().length).toBeLessThanOrEqual(2);
  });

  test("a start in the middle of a generation loses none of it", () => {
    const ids = open();
    const [early, late] = [newRequestId(), newRequestId()];
    const turned = NOW + CONSUMED_MEMORY_SECONDS + 1;
    consume(ids, early, NOW + 50);
    consume(ids, late, turned);
    const [first, second] = files();
    utimesSync(join(dir, first!), NOW + 50, NOW + 50);
    utimesSync(join(dir, second!), turned, turned);
    const next = open(turned + 1);
    expect(consume(next, early, turned + 1)).toEqual(REPLAYED);
    expect(consume(next, late, turned + 1)).toEqual(REPLAYED);
  });

  test("files of long ago are removed at a start, and still say that the host has not been down", () => {
    consume(open(), newRequestId());
    for (const name of files()) utimesSync(join(dir, name), NOW - 1_000, NOW - 1_000);
    const before = files();
    const next = open(NOW + 1);
    expect(files()).not.toEqual(before);
    expect(next.notBefore).toBe(0);
  });
});

describe("tokens from before this memory", () => {
  test("are refused by a node that has none", () => {
    const ids = open();
    expect(consume(ids, newRequestId(), NOW, NOW - 1)).toEqual({ error: "request_predates_node" });
    expect(consume(ids, newRequestId(), NOW, NOW)).toEqual(TAKEN);
  });

  test("are refused after the host went down, when the kernel may have lost what was written", () => {
    consume(open(NOW - 10), newRequestId(), NOW - 10);
    const next = open(NOW, "boot-2");
    expect(consume(next, newRequestId(), NOW, NOW - 1)).toEqual({ error: "request_predates_node" });
    expect(files()).toHaveLength(1);
  });

  test("are taken after a mere restart", () => {
    consume(open(NOW - 10), newRequestId(), NOW - 10);
    expect(consume(open(NOW), newRequestId(), NOW, NOW - 9)).toEqual(TAKEN);
  });

  test("are refused by a node whose folder was emptied", () => {
    consume(open(NOW - 10), newRequestId(), NOW - 10);
    for (const name of files()) rmSync(join(dir, name));
    expect(open(NOW).notBefore).toBe(NOW);
  });
});

describe("damage", () => {
  test("a last line that was cut short hides nothing, neither before it nor after", () => {
    const [whole, cut, after] = [newRequestId(), newRequestId(), newRequestId()];
    consume(open(), whole);
    for (const length of [1, 10, 21, 22]) {
      appendFileSync(join(dir, files().at(-1)!), `\n${cut.slice(0, length)}`);
      const ids = open();
      expect(consume(ids, whole)).toEqual(REPLAYED);
      expect(consume(ids, after)).toEqual(length === 1 ? TAKEN : REPLAYED);
      expect(outcome(() => open().consume(after, NOW, NOW))).toEqual(REPLAYED);
    }
    expect(consume(open(), cut)).toEqual(REPLAYED);
  });

  test("other files in the folder are left alone", () => {
    for (const name of ["README", "consumed-.log", "consumed-1.log.bak"]) writeFileSync(join(dir, name), "x");
    open();
    expect(files()).toEqual(expect.arrayContaining(["README", "consumed-.log", "consumed-1.log.bak"]));
  });

  test("a folder that can't be written ends the start", () => {
    writeFileSync(join(dir, "file"), "");
    expect(() => new ConsumedIds(join(dir, "file"), NOW, "boot-1")).toThrow(/EEXIST|ENOTDIR/);
    mkdirSync(join(dir, "deep"));
    expect(() => open(NOW, "boot-1", join(dir, "deep/er/still"))).not.toThrow();
  });

  test("an id that can't be written is refused, and nothing was sent for it", () => {
    const ids = new ConsumedIds(dir, NOW, "boot-1");
    ids.close();
    const id = newRequestId();
    for (let i = 0; i < 2; i++) {
      expect(() => ids.consume(id, NOW, NOW)).toThrow(
        expect.objectContaining({ code: "node_internal", reached: "no" }),
      );
    }
  });

  test("on a full disk, an id of which a part was written is refused, and no taken one is lost", async () => {
    // A limit on the size of files cuts a write short in the middle, as a full disk does.
    const script = `
      import { ConsumedIds } from ${JSON.stringify(resolve(import.meta.dirname, "../../relay-node/consumed.ts"))};
      import { newRequestId } from ${JSON.stringify(resolve(import.meta.dirname, "../../protocol/tokens.ts"))};
      const ids = new ConsumedIds(${JSON.stringify(dir)}, ${NOW}, "boot-1");
      const told = { taken: [], refused: [] };
      for (let i = 0; i < 200; i++) {
        const id = newRequestId();
        try { ids.consume(id, ${NOW}, ${NOW}); told.taken.push(id); } catch { told.refused.push(id); }
      }
      console.log(JSON.stringify(told));
    `;
    const shell = 'ulimit -f 2; exec "$0" --input-type=module -e "$1"';
    const { stdout } = await promisify(execFile)("sh", ["-c", shell, process.execPath, script]);
    const { taken, refused } = JSON.parse(stdout) as { taken: string[]; refused: string[] };
    expect(taken.length).toBeGreaterThan(20);
    expect(refused.length).toBeGreaterThan(20);
    const next = open();
    for (const id of taken) expect(consume(next, id)).toEqual(REPLAYED);
  });

  test("once there is room again, what is taken after half a line is remembered", () => {
    const ids = open();
    consume(ids, newRequestId());
    // What a write that was cut short has left behind.
    appendFileSync(join(dir, files()[0]!), newRequestId().slice(0, 9));
    const id = newRequestId();
    expect(consume(ids, id)).toEqual(TAKEN);
    expect(consume(open(), id)).toEqual(REPLAYED);
  });
});
