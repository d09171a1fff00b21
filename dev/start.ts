import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { isRelayError } from "../protocol/errors.ts";
import { runCheck } from "./check.ts";
import { devAllow } from "./allow.ts";
import { proxyUrls } from "./proxy.ts";
import { DEV_NODES, type Stack, startStack } from "./stack.ts";

/**
 * `npm start`: an edge in workerd, two relay nodes and a demonstration target on this machine, until Ctrl-C.
 * `npm start -- --check`: the same, requests through each node and its proxy, one by a relay URL, a webhook, one that must be refused, and an
 * exit code.
 * `npm start -- --allow tcp://db.example.com:5432`: a target for the development client besides its usual ones.
 * `npm start -- --reset`: with new keys.
 */

const DIR = resolve(import.meta.dirname, "../.holdfast");

async function main(): Promise<number | undefined> {
  const { values } = parseArgs({
    options: {
      allow: { type: "string", multiple: true, default: [] },
      check: { type: "boolean", default: false },
      reset: { type: "boolean", default: false },
    },
  });
  const allow = devAllow(values.allow);
  if (values.reset) rmSync(DIR, { recursive: true, force: true });
  const stack = await startStack({ dir: DIR, edgePort: 8787, targetPort: 9443, nodes: DEV_NODES, allow });
  if (values.check) {
    try {
      return await runCheck(stack);
    } finally {
      await stack.stop();
    }
  }
  introduce(stack);
  let stopping = false;
  const stop = (code: number) => {
    if (stopping) return;
    stopping = true;
    console.log("\nstopping …");
    void stack.stop().then(() => process.exit(code));
  };
  process.on("SIGINT", () => stop(0)).on("SIGTERM", () => stop(0));
  for (const id of ["edge", ...stack.nodes.map((node) => node.id)]) {
    stack.process(id).once("exit", (code, signal) => {
      if (stopping) return;
      console.error(`\n${id} ended by itself (${signal ?? code}): see ${join(DIR, `${id}.log`)}`);
      stop(1);
    });
  }
  return undefined;
}

function introduce({ edge, nodes, target, relayUrl, caFile }: Stack): void {
  console.log(`
Holdfast is up. Ctrl-C stops everything.

  edge     ${edge}   (workerd)
${nodes.map(({ id, egress, port }) => `  ${id}   calls from ${egress}   (listens on 127.0.0.1:${port})`).join("\n")}
  proxies  ${proxyUrls(nodes).join(" ")}
  target   ${target}   (tells who called)
  logs     ${DIR}/*.log

The one variable that an app sets:

  export HOLDFAST_URL=${relayUrl}

Try it in another terminal, behind that line:

  npx holdfast fetch -v ${target}/hello
  npx holdfast tunnel localhost:5432      (a PostgreSQL on this machine: connect to the address that is told)
  HTTPS_PROXY=$(npx holdfast proxy-url --allow ${target} --ttl 1h) \\
    curl --proxy-cacert ${caFile} --cacert ${caFile} ${target}/hello
  curl $(npx holdfast url ${target} --methods GET --ttl 1h)/hello      (for software that lets nothing be set but a base URL)

And as its operator, whose key is in .holdfast (docs/clients.md, docs/webhooks.md):

  npx holdfast clients list --out ${DIR}
  npx holdfast usage --out ${DIR}
  npx holdfast routes add try --client dev --target ${target}/try --verifier github --new-secret --out ${DIR}
`);
}

try {
  const code = await main();
  if (code !== undefined) process.exit(code);
} catch (error) {
  const { code, port, address, message } = error as NodeJS.ErrnoException & {
    port?: number;
    address?: string;
  };
  const inUse = `port ${port} on ${address} is in use: stop what listens there, perhaps another \`npm start\``;
  const told = isRelayError(error) ? error.detail : message;
  console.error(`holdfast: ${code === "EADDRINUSE" ? inUse : told}`);
  process.exit(1);
}
