import { setFlagsFromString } from "node:v8";
import { parseArgs } from "node:util";
import { isRelayError } from "../protocol/errors.ts";
import { readNodeConfig } from "./config.ts";
import { RelayNode } from "./node.ts";

// What lives long at a node is what it has at its start. V8 would learn from a busy moment that what requests are made of lives long, too,
// and keep whole requests until it looks through all of its heap.
setFlagsFromString("--no-allocation-site-pretenuring");

/** `node relay-node/main.ts --config <file>`: one relay node, until SIGTERM, SIGINT or SIGHUP drains it. */

const EXIT_CONFIGURATION = 78; // EX_CONFIG of sysexits(3)
const EXIT_FAILURE = 1;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  if (values.config === undefined) {
    console.error("usage: node relay-node/main.ts --config <file>");
    process.exit(EXIT_CONFIGURATION);
  }
  const node = await RelayNode.start(readNodeConfig(values.config));
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void node.drain().then(() => process.exit(0));
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, stop);
  // A launcher that started this process hears that it serves, and is not outlived.
  process.send?.("serving");
  process.once("disconnect", stop);
}

try {
  await main();
} catch (error) {
  if (isRelayError(error)) {
    console.error(`holdfast node: ${error.detail}`);
    process.exit(EXIT_CONFIGURATION);
  }
  const { code, message, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (code === "EADDRINUSE") {
    console.error(
      `holdfast node: port ${port} on ${address} is in use: stop what listens there, or set another port`,
    );
  } else console.error(`holdfast node: ${message}`);
  process.exit(EXIT_FAILURE);
}
