import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { mysqlStream, pgStream, redisConnector } from "../../../client/node/index.ts";

/**
 * An app that opens its connections by the relay itself, with each driver's hook. Argument: `pg`, `mysql2` or `ioredis`; it prints as
 * JSON what the server said of the connection and of some megabytes.
 */
const relay = process.env["HOLDFAST_URL"];
const tls = { ca: readFileSync(process.env["NODE_EXTRA_CA_CERTS"]!, "utf8") };
const {
  host,
  port,
  password,
  user = "",
  database = "",
} = JSON.parse(process.env["SERVER"]!) as {
  readonly host: string;
  readonly port: number;
  readonly password: string;
  readonly user?: string;
  readonly database?: string;
};
const BULK = 5_000_000;

switch (process.argv[2]!) {
  case "pg": {
    const client = new pg.Client({ host, port, user, password, database, ssl: tls, stream: pgStream(relay) });
    await client.connect();
    const { rows } = await client.query<{ address: string; ssl: boolean; sent: number; got: string }>(
      `select host(inet_client_addr()) as address, ssl, length($1) as sent, repeat('y', ${BULK}) as got
       from pg_stat_ssl where pid = pg_backend_pid()`,
      ["x".repeat(BULK)],
    );
    await client.end();
    tell({ ...rows[0]!, got: rows[0]!.got.length });
    break;
  }
  case "mysql2": {
    const stream = mysqlStream(relay);
    const connection = await createConnection({ host, port, user, password, ssl: tls, stream });
    const [rows] = await connection.query(
      `select substring_index(user(), '@', -1) as address, length(?) as sent, repeat('y', ${BULK}) as got`,
      ["x".repeat(BULK)],
    );
    await connection.end();
    const [row] = rows as [{ address: string; sent: number; got: string }];
    tell({ ...row, got: row.got.length });
    break;
  }
  case "ioredis": {
    const client = new Redis({ host, port, password, tls, Connector: redisConnector(relay) });
    await client.set("bulk", "x".repeat(BULK));
    const info = await client.client("INFO");
    const got = (await client.get("bulk"))?.length;
    const ended = once(client, "end");
    await client.quit();
    await ended;
    tell({ address: /\baddr=([^ :]+)/.exec(info)?.[1], got });
    break;
  }
}

function tell(said: object): void {
  process.stdout.write(JSON.stringify(said));
}
