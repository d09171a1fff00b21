import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { STREAM_RESUME_SECONDS } from "../../protocol/limits.ts";
import { rows, rowsQuery } from "./programs/rows.ts";
import { authority, HOSTS, OTHER_CLIENT, WIRE } from "./support/hosts.ts";
import {
  BULK_DEADLINE_MS,
  COPY_ROWS,
  CUT_MS,
  PROGRAM_DEADLINE_MS,
  RESUME_DEADLINE_MS,
} from "./support/limits.ts";
import { Program } from "./support/program.ts";
import { APP, type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { until } from "./support/until.ts";

/** Sessions of a database outlive the path that they go by. */

let stack: TunnelStack;
let postgres: Postgres;
const programs: Program[] = [];
/** All rows of a COPY, and their hash. */
let text: string;
let hash: string;

beforeAll(async () => {
  stack = await startTunnel();
  postgres = await startPostgres(stack);
  text = rows(1, COPY_ROWS);
  hash = md5(text);
});

afterEach(() => Promise.all(programs.splice(0).map((program) => program.stop())));
afterAll(() => stack.stop(postgres));

function md5(data: string): string {
  return createHash("md5").update(data, "latin1").digest("hex");
}

function psql(...args: readonly string[]): Program {
  const program = new Program(stack, ["--to", authority("postgres")], ["psql", "-XAtq", ...args], {
    env: postgres.env,
  });
  programs.push(program);
  return program;
}

/** What a node tells of a stream. */
interface NodeLine {
  readonly time: number;
  readonly msg: string;
  readonly resumes: number;
  readonly reason?: string;
}

function nodeLines(message: string): NodeLine[] {
  return [...stack.relay.nodes.values()]
    .flatMap((node) => readFileSync(node.logFile, "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line) as NodeLine)
    .filter(({ msg }) => msg === message);
}

/** An open transaction, by hand. */
class Transaction {
  readonly #program: Program = psql();
  #answers = 0;

  async begin(): Promise<string> {
    await this.#program.write("begin;\n");
    return this.identity();
  }

  /** The server's process and the transaction. */
  async identity(): Promise<string> {
    const answer = ++this.#answers;
    await this.#program.write(`select '#${answer} ' || pg_backend_pid() || ' ' || txid_current();\n`);
    const match = await this.#program.says(new RegExp(`^#${answer} (\\d+ \\d+)$`, "m"), RESUME_DEADLINE_MS);
    return match[1]!;
  }

  async commit(): Promise<void> {
    await this.#program.write("commit;\n");
    this.#program.end();
    expect(await this.#program.ended(PROGRAM_DEADLINE_MS), this.#program.stderr).toEqual({ code: 0 });
  }
}

/** What becomes of the path; resolves when it is there again. */
const FAULTS: readonly {
  readonly fault: string;
  readonly strike: () => Promise<void>;
  readonly heal?: () => Promise<void>;
  /** TCP itself outlives a short cut; all else takes a new connection. */
  readonly reconnects: boolean;
}[] = [
  {
    fault: "the edge is killed and started again",
    strike: async () => {
      await stack.relay.edge.end("SIGKILL");
      await stack.relay.edge.start();
    },
    reconnects: true,
  },
  {
    fault: "the edge is ended and started again",
    strike: async () => {
      await stack.relay.edge.end("SIGTERM");
      await stack.relay.edge.start();
    },
    reconnects: true,
  },
  {
    fault: `the path from client to edge is cut for ${CUT_MS / 1_000} s`,
    strike: async () => {
      await WIRE.link("client", "down");
      await sleep(CUT_MS);
      await WIRE.link("client", "up");
      await WIRE.inside("client", ["ip route replace default dev eth0"]);
    },
    reconnects: false,
  },
  {
    fault: "the client's address changes",
    strike: () => WIRE.renumber("client", HOSTS.client, OTHER_CLIENT),
    heal: () => WIRE.renumber("client", OTHER_CLIENT, HOSTS.client),
    reconnects: true,
  },
];

test.for(FAULTS)(
  "a COPY each way and an open transaction go on when $fault",
  { timeout: BULK_DEADLINE_MS },
  async ({ strike, heal, reconnects }) => {
    const start = Date.now();
    const connections = postgres.addresses().length;
    await postgres.sql("drop table if exists lines", [], APP.database);
    await postgres.sql("create table lines (id int, payload text)", [], APP.database);
    await postgres.sql(`alter table lines owner to ${APP.role}`, [], APP.database);
    const transaction = new Transaction();
    const identity = await transaction.begin();
    const upload = psql("-c", "\\copy lines from stdin");
    const half = text.indexOf("\n", text.length / 2) + 1;
    await upload.write(text.slice(0, half));
    const download = psql("-c", `\\copy (${rowsQuery(COPY_ROWS)}) to stdout`);
    await download.says(/\n/, PROGRAM_DEADLINE_MS);
    // A reader that stands still: the rest is still to come when the path breaks.
    download.child.stdout!.pause();
    try {
      await strike();
      expect(download.stdout.length).toBeLessThan(text.length);
      download.child.stdout!.resume();
      const began = performance.now();
      await upload.write(text.slice(half));
      upload.end();
      expect(await transaction.identity()).toBe(identity);
      console.log(`the transaction went on after ${((performance.now() - began) / 1_000).toFixed(1)} s`);
      await transaction.commit();
      expect(await upload.ended(RESUME_DEADLINE_MS), upload.stderr).toEqual({ code: 0 });
      expect(await download.ended(RESUME_DEADLINE_MS), download.stderr).toEqual({ code: 0 });
    } finally {
      await heal?.();
    }
    const [stored] = await postgres.sql<{ hash: string }>(
      "select md5(string_agg(id || E'\\t' || payload || E'\\n', '' order by id)) as hash from lines",
      [],
      APP.database,
    );
    expect(stored!.hash).toBe(hash);
    expect(md5(download.stdout)).toBe(hash);
    // Nobody connected again: it is the same streams that went on.
    expect(postgres.addresses().length).toBe(connections + 3);
    const closed = await until("the nodes have told of three streams", PROGRAM_DEADLINE_MS, () => {
      const lines = nodeLines("stream closed").filter(({ time }) => time >= start);
      return lines.length >= 3 && lines;
    });
    expect(closed.map(({ resumes }) => resumes > 0)).toEqual([reconnects, reconnects, reconnects]);
  },
);

test("past the time for it, both ends see a clean reset", { timeout: BULK_DEADLINE_MS }, async () => {
  const program = psql();
  await program.write("begin; select 'begun ' || pg_backend_pid();\n");
  const pid = Number((await program.says(/^begun (\d+)$/m, PROGRAM_DEADLINE_MS))[1]);
  const backend = () => postgres.sql("select 1 from pg_stat_activity where pid = $1", [pid]);
  expect((await backend()).length).toBe(1);
  const began = performance.now();
  await stack.relay.edge.end("SIGKILL");
  try {
    // The server is told first: the node waits no longer than it says.
    await until(
      "the server's end is gone",
      (STREAM_RESUME_SECONDS + 20) * 1_000,
      async () => (await backend()).length === 0,
    );
    const seconds = (performance.now() - began) / 1_000;
    console.log(`the server's end was gone after ${seconds.toFixed(1)} s`);
    expect(seconds).toBeGreaterThan(STREAM_RESUME_SECONDS - 2);
    await until("the agent tells", (STREAM_RESUME_SECONDS + 20) * 1_000, () =>
      program.stderr.includes("stream_lost"),
    );
    await program.write("select 1;\n");
    program.end();
    const { code } = await program.ended(PROGRAM_DEADLINE_MS);
    expect(code).not.toBe(0);
    expect(program.stderr).toMatch(
      /server closed the connection unexpectedly|SSL connection has been closed|SSL SYSCALL|Connection reset/,
    );
    expect(nodeLines("stream closed").filter(({ reason }) => reason === "stream_lost").length).toBe(1);
  } finally {
    await stack.relay.edge.start();
  }
});
