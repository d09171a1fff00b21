import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createScopeToken } from "../client/index.ts";
import { type Row, type Seen, strayFields } from "./check-row.ts";
import type { DevNode, Stack } from "./stack.ts";

const CHECK_MS = 20_000;

/** An application that knows nothing of the relay. */
const PROGRAM = `
let response;
try {
  response = await fetch(process.argv[1]);
} catch (error) {
  while (error.cause) error = error.cause;
  console.error(error.message);
  process.exit(1);
}
process.stdout.write(JSON.stringify({ status: response.status, seen: await response.json() }));
`;

/**
 * Sends a request through a node's proxy as any application does: a Node process that has HTTPS_PROXY in its environment, and
 * no line for the relay in its code.
 */
export async function throughProxy(
  { relayUrl, target, caFile }: Stack,
  node: DevNode,
  port: number,
): Promise<Row> {
  const what = `${node.id} proxy`;
  const password = await createScopeToken(relayUrl, {
    act: "proxy",
    allow: [target],
    ttlSeconds: 60,
    node: node.id,
  });
  const user = new URL(relayUrl).username;
  const env = {
    HTTPS_PROXY: `https://${user}:${password}@localhost:${port}`,
    NODE_USE_ENV_PROXY: "1",
    NODE_EXTRA_CA_CERTS: caFile,
  };
  const started = performance.now();
  try {
    const args = ["--input-type=module", "--eval", PROGRAM, `${target}/check`];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: CHECK_MS });
    const { status, seen } = JSON.parse(stdout) as { status: number; seen: Seen };
    const strays = strayFields(seen);
    let wrong: string | undefined;
    if (status !== 200) wrong = `the target answered ${status}`;
    else if (seen.from !== node.egress) wrong = `the target saw ${seen.from}, not ${node.egress}`;
    else if (strays.length > 0) wrong = `fields of the relay reached the target: ${strays.join(", ")}`;
    const total = performance.now() - started;
    return { what, egress: seen.from, status: String(status), stages: `total ${total.toFixed(1)}`, wrong };
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    // Undici's own words, which hold the status of the proxy's answer and no credentials.
    const words = (stderr === undefined || stderr === "" ? (error as Error).message : stderr).split("\n")[0];
    return { what, egress: "-", status: "failed", stages: "-", wrong: words };
  }
}
