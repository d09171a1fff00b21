import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Process } from "../processes.ts";
import { debianVersion, type PeerPlace, type RunningPeer } from "./peer.ts";

/** How HAProxy is used: it knows no CONNECT, so TCP goes to one target; `http` relays requests to it over connections that stay. */
export type HaproxyMode = "tcp" | "tcp-splice" | "http";

const SECTION: Readonly<Record<HaproxyMode, string>> = {
  tcp: "  mode tcp\n",
  "tcp-splice": "  mode tcp\n  option splice-auto\n  option splice-request\n  option splice-response\n",
  http: "  mode http\n  http-reuse always\n",
};

/** @param to the target, `ADDRESS:PORT` */
export async function startHaproxy(
  { dir, host, port, core, tls }: PeerPlace,
  mode: HaproxyMode,
  to: string,
): Promise<RunningPeer> {
  const version = await debianVersion("haproxy");
  mkdirSync(dir, { recursive: true });
  let secured = "";
  if (tls !== undefined) {
    const both = join(dir, "both.pem");
    writeFileSync(both, `${readFileSync(tls.cert, "utf8")}\n${readFileSync(tls.key, "utf8")}`, {
      mode: 0o600,
    });
    secured = ` ssl crt ${both}`;
  }
  const config = `global
  nbthread 1
  maxconn 6000
defaults
  timeout connect 5s
  timeout client 600s
  timeout server 600s
${SECTION[mode]}frontend in
  bind ${host}:${port}${secured}
  default_backend out
backend out
  server target ${to}
`;
  const file = join(dir, "haproxy.cfg");
  writeFileSync(file, config);
  const process = await Process.start("/usr/sbin/haproxy", ["-f", file, "-db"], {
    core,
    ready: { host, port },
  });
  const name = mode === "tcp-splice" ? "HAProxy, forced splice" : `HAProxy, ${mode.toUpperCase()}`;
  return { name: tls === undefined ? name : `${name}, by TLS`, version, config, process, host, port };
}
