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
import { readEntry } from "../../protocol/consumed-entries.ts";
import { CONSUMED_BATCH_MAX_ENTRIES, CONSUMED_MEMORY_SECONDS } from "../../protocol/limits.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { ConsumedIds } from "../../relay-node/consumed.ts";
import { CONSUMED_HEARD_MAX } from "../../relay-node/limits.ts";
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

const consume = (ids: ConsumedIds, id: string, now = NOW, issued = now, attempt = 0, pass = PASS) =>
  outcome(() => ids.consume(id, { pass, attempt }, issued, now));
const PASS = "AAECAwQFBgc";
/** What was told at once, each line behind a line feed. */
const linesOf = (text: string) => text.slice(1).split("\n");
const newId = () => `app ${newRequestId()}`;
const HEARD = { value: undefined };
const TAKEN = { value: undefined };
const REPLAYED = { error: "token_replayed" };
const files = () => readdirSync(dir).toSorted();

describe("ids of one turn", () => {
  const use = { pass: PASS, attempt: 0 };
  const inTurn = (ids: ConsumedIds, id: string) => ids.consumeInTurn(id, use, NOW, NOW);

  test("stand in the file once they are taken, and are good once from the call on", async () => {
    const ids = open();
    const some = Array.from({ length: 20 }, newId);
    const told: string[] = [];
    ids.tell = (text) => told.push(...linesOf(text));
    const taken = some.map((id) => inTurn(ids, id));
    expect(consume(ids, some[0]!)).toEqual(REPLAYED);
    await expect(inTurn(ids, some[1]!)).rejects.toMatchObject({ code: "token_replayed" });
    expect(told).toEqual([]);
    await Promise.all(taken);
    expect(told).toEqual(some.map((id) => `${id} 0 ${PASS}`));
    const text = readFileSync(join(dir, files()[0]!), "utf8");
    for (const id of some) expect(text).toContain(`\n${id} 0 ${PASS}`);
  });

  test("are told in no larger pieces than a batch may have", async () => {
    const ids = open();
    const some = Array.from({ length: 2 * CONSUMED_BATCH_MAX_ENTRIES + 1 }, newId);
    const told: { readonly lines: string[]; readonly count: number }[] = [];
    ids.tell = (text, count) => told.push({ lines: linesOf(text), count });
    await Promise.all(some.map((id) => inTurn(ids, id)));
    expect(told.map(({ count }) => count)).toEqual([
      CONSUMED_BATCH_MAX_ENTRIES,
      CONSUMED_BATCH_MAX_ENTRIES,
      1,
    ]);
    expect(told.map(({ lines }) => lines.length)).toEqual(told.map(({ count }) => count));
    expect(told.flatMap(({ lines }) => lines)).toEqual(some.map((id) => `${id} 0 ${PASS}`));
    for (const id of some) expect(consume(ids, id)).toEqual(REPLAYED);
  });

  test("that are taken while the node closes are written before", async () => {
    const ids = open();
    const id = newId();
    const taken = inTurn(ids, id);
    ids.close();
    await taken;
    expect(consume(open(), id)).toEqual(REPLAYED);
  });

  test("that can't be written are refused, and known as they were before", async () => {
    const ids = open();
    const [used, fresh] = [newId(), newId()];
    consume(ids, used);
    ids.close();
    const next = ids.consumeInTurn(used, { pass: PASS, attempt: 1 }, NOW, NOW);
    const results = await Promise.allSettled([next, inTurn(ids, fresh)]);
    expect(results).toMatchObject(
      results.map(() => ({ status: "rejected", reason: { code: "node_internal", reached: "no" } })),
    );
    expect([...ids.lines()]).toEqual([`${used} 0 ${PASS}`]);
  });

  test("are in the file before a peer is heard, so that nothing heard is forgotten with them", async () => {
    const ids = open();
    const id = newId();
    const taken = ids.consumeInTurn(id, { pass: PASS, attempt: 1 }, NOW, NOW);
    ids.hear([{ id, mark: `0 ${PASS}` }], NOW);
    expect(readFileSync(join(dir, files()[0]!), "utf8")).toContain(`\n${id} 1 ${PASS}`);
    ids.close();
    await taken;
    expect([...open().lines()]).toEqual([`${id} 1 ${PASS}`]);
  });
});

describe("an id", () => {
  test("is taken once, whatever else is taken", () => {
    const ids = open();
    const some = Array.from({ length: 100 }, newId);
    for (const id of some) expect(consume(ids, id)).toEqual(TAKEN);
    for (const id of some) expect(consume(ids, id)).toEqual(REPLAYED);
    expect(consume(ids, newId())).toEqual(TAKEN);
  });

  test("stands in the file before it is taken, and nobody else may read it", () => {
    const ids = open();
    const id = newId();
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
      used.push(newId());
      expect(consume(ids, used.at(-1)!, now)).toEqual(TAKEN);
    }
  });

  test("of a first life that was never closed is remembered", () => {
    const id = newId();
    consume(open(), id);
    expect(consume(open(), id)).toEqual(REPLAYED);
  });
});

describe("the edge's own next attempt", () => {
  test.each([
    { what: "the same attempt again", attempt: 1, again: 1, expected: REPLAYED },
    { what: "an earlier one", attempt: 1, again: 0, expected: REPLAYED },
    { what: "a later one", attempt: 1, again: 2, expected: TAKEN },
    { what: "one much later, by number and not by text", attempt: 9, again: 10, expected: TAKEN },
    { what: "a later one of another pass", attempt: 1, again: 2, pass: "another-pass", expected: REPLAYED },
    {
      what: "a later one of a pass that begins the same",
      attempt: 1,
      again: 2,
      pass: `${PASS}x`,
      expected: REPLAYED,
    },
  ])("$what", ({ attempt, again, pass, expected }) => {
    for (const reopened of [false, true]) {
      const [ids, id] = [open(), newId()];
      expect(consume(ids, id, NOW, NOW, attempt)).toEqual(TAKEN);
      expect(consume(reopened ? open() : ids, id, NOW, NOW, again, pass)).toEqual(expected);
    }
  });

  test("is itself taken once, over a start too", () => {
    const [ids, id] = [open(), newId()];
    for (const attempt of [0, 1]) expect(consume(ids, id, NOW, NOW, attempt)).toEqual(TAKEN);
    for (const attempt of [0, 1]) expect(consume(ids, id, NOW, NOW, attempt)).toEqual(REPLAYED);
    for (const attempt of [0, 1]) expect(consume(open(), id, NOW, NOW, attempt)).toEqual(REPLAYED);
  });

  test("is not taken once the id is forbidden, whether it was used before or not", () => {
    const ids = open();
    for (const used of [true, false]) {
      const id = newId();
      expect(used ? consume(ids, id) : TAKEN).toEqual(TAKEN);
      for (let i = 0; i < 2; i++) ids.forbid(id, NOW);
      for (const attempt of [0, 1, 2]) {
        expect(consume(ids, id, NOW, NOW, attempt)).toEqual(REPLAYED);
        expect(consume(open(), id, NOW, NOW, attempt)).toEqual(REPLAYED);
      }
    }
  });
});

describe("what is heard of peers", () => {
  const hear = (ids: ConsumedIds, ...marks: (readonly [id: string, mark: string])[]) =>
    outcome(() =>
      ids.hear(
        marks.map(([id, mark]) => ({ id, mark })),
        NOW,
      ),
    );

  test("is used up here, over a start too", () => {
    const [ids, some] = [open(), Array.from({ length: 100 }, newId)];
    expect(hear(ids, ...some.map((id) => [id, `0 ${PASS}`] as const))).toEqual(HEARD);
    for (const id of some) expect(consume(ids, id)).toEqual(REPLAYED);
    const next = open();
    for (const id of some) expect(consume(next, id)).toEqual(REPLAYED);
    for (const id of some) expect(consume(next, id, NOW, NOW, 1)).toEqual(TAKEN);
  });

  test.each([
    { order: [`0 ${PASS}`, `2 ${PASS}`, `1 ${PASS}`], left: [`2 ${PASS}`] },
    { order: [`2 ${PASS}`, `0 ${PASS}`], left: [`2 ${PASS}`] },
    { order: [`0 ${PASS}`, "3 another-pass"], left: ["0 -"] },
    { order: ["0 -", `5 ${PASS}`], left: ["0 -"] },
    { order: [`5 ${PASS}`, "0 -"], left: ["0 -"] },
    { order: ["0 -", "1 -"], left: ["0 -"] },
  ])("$order comes out the same in one batch, in several, and after a start", ({ order, left }) => {
    const id = newId();
    const known = (ids: ConsumedIds) => [...ids.lines()].map((line) => line.slice(id.length + 1));
    const [batch, single] = [open(NOW, "b", join(dir, "batch")), open(NOW, "b", join(dir, "single"))];
    hear(batch, ...order.map((mark) => [id, mark] as const));
    for (const mark of order) hear(single, [id, mark]);
    expect([known(batch), known(single)]).toEqual([left, left]);
    expect(known(open(NOW, "b", join(dir, "batch")))).toEqual(left);
  });

  test("is written once, and is not told on; what is used here is told", () => {
    const ids = open();
    const told: string[] = [];
    ids.tell = (text) => void told.push(...linesOf(text));
    const [heard, used] = [newId(), newId()];
    for (let i = 0; i < 3; i++) hear(ids, [heard, `0 ${PASS}`]);
    consume(ids, used);
    consume(ids, used);
    const text = readFileSync(join(dir, files()[0]!), "utf8");
    expect(text.split("\n").slice(1)).toEqual([`${heard} 0 ${PASS}`, `${used} 0 ${PASS}`]);
    expect(told).toEqual([`${used} 0 ${PASS}`]);
  });

  test("that can't be written is not known", () => {
    const ids = new ConsumedIds(dir, NOW, "boot-1");
    ids.close();
    expect(hear(ids, [newId(), `0 ${PASS}`])).toEqual({ error: "node_internal" });
    expect([...ids.lines()]).toEqual([]);
  });

  test("is no more than a limit", { timeout: 60_000 }, () => {
    const ids = open();
    const many = Array.from({ length: CONSUMED_HEARD_MAX / 10 }, newId);
    for (let i = 0; i < 10; i++) {
      expect(hear(ids, ...many.map((id) => [`c${i}${id}`, "0 -"] as const))).toEqual(HEARD);
    }
    expect(hear(ids, [newId(), "0 -"])).toEqual({ error: "too_large" });
    expect(consume(ids, newId())).toEqual(TAKEN);
  });
});

describe("generations", () => {
  test("an id is remembered for as long as any token can be good, and no file stays for ever", () => {
    const ids = open();
    const everyTen = Array.from({ length: 100 }, (_, i) => ({ id: newId(), at: NOW + i * 10 }));
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
    const [early, late] = [newId(), newId()];
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
    consume(open(), newId());
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
    expect(consume(ids, newId(), NOW, NOW - 1)).toEqual({ error: "request_predates_node" });
    expect(consume(ids, newId(), NOW, NOW)).toEqual(TAKEN);
  });

  test("are refused after the host went down, when the kernel may have lost what was written", () => {
    consume(open(NOW - 10), newId(), NOW - 10);
    const next = open(NOW, "boot-2");
    expect(consume(next, newId(), NOW, NOW - 1)).toEqual({ error: "request_predates_node" });
    expect(files()).toHaveLength(1);
  });

  test("are taken after a mere restart", () => {
    consume(open(NOW - 10), newId(), NOW - 10);
    expect(consume(open(NOW), newId(), NOW, NOW - 9)).toEqual(TAKEN);
  });

  test("are refused where a peer can't tell, and later ones are not", () => {
    consume(open(NOW - 10), newId(), NOW - 10);
    const ids = open(NOW);
    ids.refuseBefore(NOW - 3);
    ids.refuseBefore(NOW - 5);
    expect([ids.notBefore, ids.since]).toEqual([NOW - 3, 0]);
    expect(consume(ids, newId(), NOW, NOW - 4)).toEqual({ error: "request_predates_node" });
    expect(consume(ids, newId(), NOW, NOW - 3)).toEqual(TAKEN);
  });

  test("are refused by a node whose folder was emptied", () => {
    consume(open(NOW - 10), newId(), NOW - 10);
    for (const name of files()) rmSync(join(dir, name));
    expect(open(NOW).notBefore).toBe(NOW);
  });
});

describe("damage", () => {
  test("a last line that was cut short hides nothing, neither before it nor after", () => {
    const [whole, cut, after] = [newId(), newId(), newId()];
    consume(open(), whole);
    for (const length of [1, 10, 25, 26]) {
      appendFileSync(join(dir, files().at(-1)!), `\n${cut.slice(0, length)}`);
      const ids = open();
      expect(consume(ids, whole)).toEqual(REPLAYED);
      expect(consume(ids, after)).toEqual(length === 1 ? TAKEN : REPLAYED);
      expect(consume(open(), after)).toEqual(REPLAYED);
    }
    expect(consume(open(), cut)).toEqual(REPLAYED);
  });

  test("a line that was cut short behind its id uses the id up for every pass, and so does one of an id alone", () => {
    consume(open(), newId());
    for (const length of [26, 27, 28, 29, 35, 39]) {
      const id = newId();
      appendFileSync(join(dir, files().at(-1)!), `\n${`${id} 0 ${PASS}`.slice(0, length)}`);
      expect(consume(open(), id, NOW, NOW, 1)).toEqual(REPLAYED);
    }
    for (const line of open().lines()) expect(readEntry(line)).toBeDefined();
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
    const id = newId();
    for (let i = 0; i < 2; i++) {
      expect(() => ids.consume(id, { pass: PASS, attempt: 0 }, NOW, NOW)).toThrow(
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
        const id = "app " + newRequestId();
        try { ids.consume(id, { pass: "${PASS}", attempt: 0 }, ${NOW}, ${NOW}); told.taken.push(id); } catch { told.refused.push(id); }
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
    consume(ids, newId());
    // What a write that was cut short has left behind.
    appendFileSync(join(dir, files()[0]!), newId().slice(0, 9));
    const id = newId();
    expect(consume(ids, id)).toEqual(TAKEN);
    expect(consume(open(), id)).toEqual(REPLAYED);
  });
});
