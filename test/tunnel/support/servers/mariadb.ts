import { execFile } from "node:child_process";
import { chownSync, copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { EGRESS, HOSTS, SERVERS } from "../hosts.ts";
import { as, folderOf, startServer, systemUser } from "../server-process.ts";
import type { TunnelStack } from "../stack.ts";

/** A MariaDB of the tests' own, which admits the pool's addresses alone, by TLS and with a password. */
export interface Mariadb {
  /** An option file for the client's `--defaults-extra-file`: host, user, password and a certificate that must fit. */
  readonly options: string;
  /** Asks as root, past the relay, by the server's own Unix socket. */
  sql(text: string): Promise<RowDataPacket[]>;
  stop(): Promise<void>;
}

const PASSWORD = "staple of mysql";
const { name: HOST, port: PORT } = SERVERS.mariadb;

/** Makes a data folder and starts it. */
export async function startMariadb({ dir, serverFiles }: TunnelStack): Promise<Mariadb> {
  const user = await systemUser("mysql");
  const home = folderOf(join(dir, "mariadb"), user);
  const data = join(home, "data");
  const socketPath = join(home, "sock");
  for (const name of ["ca", "cert", "key"] as const) {
    copyFileSync(serverFiles[name], join(home, `${name}.pem`));
    chownSync(join(home, `${name}.pem`), user.uid, user.gid);
  }
  const conf = join(home, "server.cnf");
  writeFileSync(
    conf,
    `[mariadbd]
datadir=${data}
socket=${socketPath}
pid-file=${join(home, "pid")}
bind-address=${HOSTS.db}
port=${PORT}
ssl-ca=${join(home, "ca.pem")}
ssl-cert=${join(home, "cert.pem")}
ssl-key=${join(home, "key.pem")}
require-secure-transport=ON
skip-name-resolve
innodb-flush-log-at-trx-commit=0
innodb-flush-method=nosync
`,
    { mode: 0o644 },
  );
  const install = [
    `--defaults-file=${conf}`,
    `--user=${user.name}`,
    "--auth-root-authentication-method=socket",
    "--skip-test-db",
  ];
  await promisify(execFile)("mariadb-install-db", install);
  const sql = async (text: string): Promise<RowDataPacket[]> => {
    const connection = await createConnection({ socketPath, user: "root" });
    try {
      const [rows] = await connection.query<RowDataPacket[]>(text);
      return rows;
    } finally {
      await connection.end();
    }
  };
  const { stop } = await startServer(
    [...as(user), "mariadbd", `--defaults-file=${conf}`],
    join(dir, "mariadb.log"),
    async () => (await sql("select 1")).length === 1,
  );
  await sql("create database app");
  for (const address of EGRESS) {
    await sql(`create user app@'${address}' identified by '${PASSWORD}' require ssl`);
    await sql(`grant all on app.* to app@'${address}'`);
  }
  const options = join(dir, "mariadb-client.cnf");
  writeFileSync(
    options,
    `[client]
host=${HOST}
port=${PORT}
user=app
password="${PASSWORD}"
database=app
ssl-ca=${serverFiles.ca}
ssl-verify-server-cert
connect-timeout=20
`,
    { mode: 0o600 },
  );
  return { options, sql, stop };
}
