import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { readSettings, type SettingsFlags } from "../../cli/agent/settings.ts";
import { startTunnel } from "../../cli/agent/tunnel.ts";

/**
 * The tunnel agent with a child, and a plain connection to a port of this machine in the relay's place:
 * `tunnel-agent.ts <flags as JSON> <port> <command> <args…>`. Its log goes to stderr, and it ends with the child's code.
 */
const [flags, port, command, ...args] = process.argv.slice(2);
const settings = readSettings(JSON.parse(flags!) as SettingsFlags, {
  env: process.env,
  folder: process.cwd(),
  readFile: (path) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
});
const tunnel = await startTunnel(settings, {
  open: async ({ host, port: asked }) => {
    const socket = net.connect({ host: "127.0.0.1", port: Number(port), allowHalfOpen: true, noDelay: true });
    await once(socket, "connect");
    process.stderr.write(`opened ${host}:${asked}\n`);
    return socket;
  },
  relayUrl: process.env["HOLDFAST_URL"],
  env: process.env,
  log: (line) => process.stderr.write(`${line}\n`),
});
process.stderr.write(`names: ${tunnel.kind}\n`);
const child = spawn(command!, args, { stdio: "inherit", env: { ...process.env, ...tunnel.env } });
const [code] = (await once(child, "exit")) as [number | null];
await tunnel.close();
process.exitCode = code ?? 1;
