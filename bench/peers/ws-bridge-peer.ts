import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Process } from "../processes.ts";
import type { PeerPlace, RunningPeer } from "./peer.ts";

const SOURCE = join(import.meta.dirname, "ws-bridge.ts");
const require = createRequire(import.meta.url);

/** A bridge of a few lines from WebSocket, with TLS, to one TCP address. */
export async function startWsBridge(
  { dir, host, port, core }: PeerPlace,
  certificate: { readonly cert: string; readonly key: string },
  target: { readonly host: string; readonly port: number },
): Promise<RunningPeer> {
  mkdirSync(dir, { recursive: true });
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  writeFileSync(cert, certificate.cert);
  writeFileSync(key, certificate.key, { mode: 0o600 });
  const args = [SOURCE, host, String(port), cert, key, target.host, String(target.port)];
  const started = await Process.start(process.execPath, args, { core, ready: "says so" });
  const { version } = require("ws/package.json") as { version: string };
  return { name: "ws bridge", version, config: readFileSync(SOURCE, "utf8"), process: started, host, port };
}
