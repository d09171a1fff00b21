import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Process } from "../processes.ts";
import { debianVersion, type PeerPlace, type RunningPeer } from "./peer.ts";

/**
 * Squid as a forward proxy that caches nothing and writes no log of accesses: a process of its own, without its monitor.
 * @param trusts how it may reach what: everything on loopback or in the run's own network
 */
export async function startSquid({ dir, host, port, core, tls }: PeerPlace): Promise<RunningPeer> {
  const version = await debianVersion("squid");
  mkdirSync(dir, { recursive: true });
  // It gives its privileges up where it has any.
  chmodSync(dir, 0o777);
  const listen = tls === undefined ? "http_port" : "https_port";
  const certificate = tls === undefined ? "" : ` tls-cert=${tls.cert} tls-key=${tls.key}`;
  const config = `${listen} ${host}:${port}${certificate}
acl all_ports port 1-65535
http_access allow all
cache deny all
cache_mem 8 MB
memory_pools on
access_log none
cache_log ${join(dir, "cache.log")}
cache_store_log none
pid_filename none
coredump_dir ${dir}
shutdown_lifetime 1 seconds
max_filedescriptors 65536
via off
forwarded_for delete
`;
  const file = join(dir, "squid.conf");
  writeFileSync(file, config);
  const process = await Process.start("/usr/sbin/squid", ["-N", "-f", file], { core, ready: { host, port } });
  const name = tls === undefined ? "Squid" : "Squid, by TLS";
  return { name, version, config, process, host, port };
}
