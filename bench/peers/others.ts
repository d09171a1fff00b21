import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Process } from "../processes.ts";
import { debianVersion, type PeerPlace, type RunningPeer } from "./peer.ts";

const PACKAGE = resolve(import.meta.dirname, "../../node_modules/proxy-chain/package.json");

export async function startTinyproxy({ dir, host, port, core }: PeerPlace): Promise<RunningPeer> {
  const version = await debianVersion("tinyproxy-bin");
  mkdirSync(dir, { recursive: true });
  const config = `Port ${port}
Listen ${host}
Timeout 600
LogLevel Critical
MaxClients 10000
`;
  const file = join(dir, "tinyproxy.conf");
  writeFileSync(file, config);
  const process = await Process.start("/usr/bin/tinyproxy", ["-d", "-c", file], {
    core,
    ready: { host, port },
  });
  return { name: "tinyproxy", version, config, process, host, port };
}

/** Dante: SOCKS alone. */
export async function startDante({ dir, host, port, core }: PeerPlace): Promise<RunningPeer> {
  const version = await debianVersion("dante-server");
  mkdirSync(dir, { recursive: true });
  const config = `logoutput: ${join(dir, "danted.log")}
internal: ${host} port = ${port}
external: ${host}
socksmethod: none
clientmethod: none
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
`;
  const file = join(dir, "danted.conf");
  writeFileSync(file, config);
  const pid = join(dir, "danted.pid");
  const process = await Process.start("/usr/sbin/danted", ["-f", file, "-p", pid], {
    core,
    ready: { host, port },
  });
  return { name: "Dante", version, config, process, host, port };
}

/** What npm's proxy-chain makes of a few lines: the usual CONNECT proxy in Node. */
export async function startProxyChain({ host, port, core }: PeerPlace): Promise<RunningPeer> {
  const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string };
  const script = resolve(import.meta.dirname, "proxy-chain.ts");
  const child = await Process.start(process.execPath, [script, host, String(port)], {
    core,
    ready: { host, port },
  });
  return {
    name: "proxy-chain",
    version: `${version} (npm), Node ${process.version}`,
    process: child,
    host,
    port,
  };
}
