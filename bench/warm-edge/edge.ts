import { mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Operator } from "../../client/admin.ts";
import { OPERATOR_KEY_ID } from "../../dev/files.ts";
import { type DevKeys, devKeys, publicHalf } from "../../dev/keys.ts";
import { startWorkerd } from "../../dev/workerd.ts";
import { encodeResponseSection, sectionToWire } from "../../protocol/envelope.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { freePort } from "../../test/support/stack.ts";
import { type Origin, startOrigin } from "../native.ts";
import { CORES, Process } from "../processes.ts";
import { ANSWER_BYTES } from "./sample.ts";

const NODES = ["node-1", "node-2"];

/** In place of a limit that would be in the way. */
export const NO_LIMIT = 1_000_000;

/** What a target answers, by the node's word. */
const BODY = Buffer.alloc(ANSWER_BYTES, "x");

/**
 * Starts what answers as a node does with a target's answer of 1 kB, and costs next to nothing: it looks at no grant.
 */
export async function startNativeNode(dir: string, id: string): Promise<Origin> {
  mkdirSync(dir, { recursive: true });
  const files = { fetch: join(dir, "fetch"), healthz: join(dir, "healthz") };
  const section = encodeResponseSection({
    status: 200,
    reason: "OK",
    fields: [
      ["Content-Type", "application/json"],
      ["Content-Length", String(BODY.length)],
      ["Date", "Sat, 28 Nov 2026 12:00:00 GMT"],
      ["ETag", '"5e1f8a7c"'],
      ["Cache-Control", "no-store"],
    ],
  });
  const marks: [string, string][] = [
    ["relay-status", "target"],
    ["relay-envelope", "1"],
    ["relay-node", id],
    ["relay-request-id", "AAAAAAAAAAAAAAAAAAAAAA"],
    ["relay-egress", "127.0.0.2"],
    ["relay-timing", "node_queue;dur=0.1, target_connect;dur=0.0, target;dur=0.4, connection;desc=warm"],
    ...sectionToWire(section),
  ];
  writeFileSync(files.fetch, answer(marks, BODY));
  const health = Buffer.from(JSON.stringify({ status: "ok", node: id }));
  writeFileSync(
    files.healthz,
    answer(
      [
        ["relay-node", id],
        ["content-type", "application/json"],
      ],
      health,
    ),
  );
  const at = { host: "127.0.0.1", http: await freePort(), tcp: await freePort() };
  return startOrigin(at, { "/fetch": files.fetch, "/healthz": files.healthz });
}

function answer(fields: readonly [string, string][], body: Uint8Array): Buffer {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join("")}content-length: ${body.length}\r\n\r\n`, "latin1"),
    body,
  ]);
}

/** The worker as it is deployed, by itself in workerd. */
export interface BareEdge {
  readonly process: Process;
  readonly host: string;
  readonly port: number;
  readonly operator: Operator;
  readonly keys: DevKeys;
  /** Its configuration and storage. */
  readonly dir: string;
}

/**
 * Starts it on the measured core.
 * @param inspectorPort for a profile
 */
export async function startEdge(options: {
  readonly dir: string;
  readonly module: string;
  readonly nodes: readonly Origin[];
  readonly inspectorPort?: number | undefined;
  /** Over what is stored already. */
  readonly port?: number | undefined;
}): Promise<BareEdge> {
  const { dir, module, nodes, inspectorPort } = options;
  const [host, port] = ["127.0.0.1", options.port ?? (await freePort())];
  const origin = `http://${host}:${port}`;
  const keys = await devKeys(dir, NODES);
  const child = await startWorkerd({
    module,
    dir,
    host,
    port,
    vars: {
      EDGE_ORIGIN: origin,
      NODES: nodes.map((node, index) => ({
        id: NODES[index]!,
        url: `http://${node.host}:${node.http}`,
        key: publicHalf(keys.nodeSigningKeys[NODES[index]!]!),
        addresses: [{ address: `127.0.0.${2 + index}`, since: "2026-01-01" }],
      })),
      OPERATOR_KEYS: { keys: [{ ...keys.operator.publicJwk, kid: OPERATOR_KEY_ID }] },
    },
    secrets: {
      GRANT_MASTER_KEY: keys.grantMasterKey,
      EDGE_SIGNING_KEY: JSON.stringify(keys.edgeSigningKey),
      STORAGE_KEYS: keys.storageKeys,
    },
    ca: keys.ca,
    output: openSync(join(dir, "edge.log"), "a"),
    runBy: ["taskset", "-c", String(CORES.measured)],
    inspectorPort,
  });
  const operator = {
    edge: origin,
    keyId: OPERATOR_KEY_ID,
    key: await importPrivateKey(keys.operator.privateKey),
  };
  return { process: Process.of(child), host, port, operator, keys, dir };
}
