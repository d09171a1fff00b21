import { chownSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HOSTS, SERVERS } from "../hosts.ts";
import { as, folderOf, startServer, systemUser } from "../server-process.ts";
import type { TunnelStack } from "../stack.ts";

/** A Redis of the tests' own, which speaks TLS alone and wants a password. */
export interface Redis {
  /** What redis-cli reads its password from. */
  readonly env: Readonly<Record<string, string>>;
  readonly password: string;
  stop(): Promise<void>;
}

const PASSWORD = "battery-of-redis";
const { port: PORT } = SERVERS.redis;

/** Starts it, without a file of its own. */
export async function startRedis({ dir, serverFiles }: TunnelStack): Promise<Redis> {
  const user = await systemUser("redis");
  const home = folderOf(join(dir, "redis"), user);
  for (const name of ["ca", "cert", "key"] as const) {
    copyFileSync(serverFiles[name], join(home, `${name}.pem`));
    chownSync(join(home, `${name}.pem`), user.uid, user.gid);
  }
  const conf = join(home, "redis.conf");
  writeFileSync(
    conf,
    `bind ${HOSTS.db}
port 0
tls-port ${PORT}
tls-cert-file ${join(home, "cert.pem")}
tls-key-file ${join(home, "key.pem")}
tls-ca-cert-file ${join(home, "ca.pem")}
tls-auth-clients no
requirepass ${PASSWORD}
dir ${home}
save ""
`,
  );
  chownSync(conf, user.uid, user.gid);
  const log = join(dir, "redis.log");
  const { stop } = await startServer([...as(user), "redis-server", conf], log, async () =>
    readFileSync(log, "utf8").includes("Ready to accept connections"),
  );
  return { env: { REDISCLI_AUTH: PASSWORD }, password: PASSWORD, stop };
}
