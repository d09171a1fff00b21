import { readdirSync } from "node:fs";
import { join } from "node:path";
import { calculateJwkThumbprint, type JWK } from "jose";
import { adminCall } from "../client/admin.ts";
import { addClient } from "../test/support/operator-calls.ts";
import { sqliteDatabase } from "../test/support/sqlite-storage.ts";
import { freePort } from "../test/support/stack.ts";
import { workerModule } from "./made-once.ts";
import { compile } from "./native.ts";
import { NO_LIMIT, startEdge, startNativeNode } from "./warm-edge/edge.ts";
import { TARGET, writeRequests } from "./warm-edge/requests.ts";
import { type Sample, sample } from "./warm-edge/sample.ts";
import type { Figure, Workload } from "./workload.ts";

const CONNECTIONS = 32;
const LIMITS = { requestsPerSecond: NO_LIMIT, concurrent: NO_LIMIT };

/** What more and more clients in the registry cost each of them. */
export const growthClients: Workload = {
  name: "growth-clients",
  title: "Growth: clients registered",
  async run(options) {
    const { quick, dir } = options;
    const log = (line: string) => options.log(line);
    const driver = await compile("load");
    const nodes = [
      await startNativeNode(join(dir, "node-1"), "node-1"),
      await startNativeNode(join(dir, "node-2"), "node-2"),
    ];
    const place = {
      dir: join(dir, "edge"),
      module: await workerModule(),
      nodes,
      port: await freePort(),
    };
    let edge = await startEdge(place);
    try {
      const first = await addClient(edge.operator, "bench", { allow: [TARGET], limits: LIMITS });
      const sizes = quick ? [10, 1_000] : [10, 100, 1_000, 10_000, 100_000];
      const count = quick ? 1_500 : 6_000;
      const figures: Figure[] = [];
      for (const size of sizes) {
        await edge.process.stop();
        await fillRegistry(place.dir, first.publicJwk, size);
        edge = await startEdge(place);
        const urls = Array.from({ length: Math.min(size, count) }, (_, index) =>
          first.relayUrl.replace(
            "//bench:",
            `//${idOf(Math.floor((index * size) / Math.min(size, count)))}:`,
          ),
        );
        const samples: Sample[] = [];
        const lists: number[] = [];
        // The first round compiles.
        for (let round = 0; round <= (quick ? 1 : 5); round++) {
          const file = join(dir, "requests");
          const call = { url: `${TARGET}/v1/accounts/8342`, method: "GET" } as const;
          await writeRequests(file, urls, call, count);
          const side = { ...edge, processes: { edge: edge.process } };
          const taken = await sample(driver, side, {
            file,
            connections: CONNECTIONS,
            log,
            isRepeatable: false,
          });
          const began = performance.now();
          await adminCall(edge.operator, "GET", "/admin/clients?limit=100");
          if (round === 0) continue;
          lists.push(performance.now() - began);
          samples.push(taken);
        }
        log(`${size} clients`);
        const what = size.toLocaleString("en");
        figures.push(
          { what: `${what}: p50, 32 at once`, unit: "ms", samples: samples.map(({ p50 }) => p50 / 1_000) },
          {
            what: `${what}: the edge, for each`,
            unit: "µs of CPU",
            samples: samples.map(({ cpu }) => cpu["edge"]!),
          },
          { what: `${what}: the first 100, listed`, unit: "ms", samples: lists },
        );
      }
      const note =
        "GETs are sent in the names of as many of the clients as there are requests in a round, in turn: an isolate remembers a client for 10 s, and of 5,000 at once. The registry was filled while the edge was down, by Node's SQLite.";
      return { sections: [{ title: "With more and more clients", note, figures }] };
    } finally {
      await edge.process.stop();
      for (const { process } of nodes) await process.stop();
    }
  },
};

function idOf(index: number): string {
  return `client-${index}`;
}

/** Puts so many clients into the registry's own file, all with one key. */
async function fillRegistry(dir: string, jwk: JWK, size: number): Promise<void> {
  const thumbprint = await calculateJwkThumbprint(jwk);
  const folder = join(dir, "durable-objects/holdfast-registry");
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(".sqlite")) continue;
    const database = sqliteDatabase(join(folder, file));
    const { sql, transaction } = database;
    if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'clients'").toArray().length > 0) {
      transaction(() => {
        for (let index = 0; index < size; index++) {
          const id = idOf(index);
          const record = JSON.stringify({ id, keys: [jwk], allow: [TARGET], limits: LIMITS });
          sql.exec("INSERT OR IGNORE INTO clients VALUES (?, 1, ?)", id, record);
          sql.exec("INSERT OR IGNORE INTO client_keys VALUES (?, ?, NULL, 0)", id, thumbprint);
        }
      });
    }
    database.close();
  }
}
