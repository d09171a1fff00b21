import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import pg from "pg";

/**
 * One small application, in all the contexts that one has. Argument: `server`, `release`, `migration`, `cron` or `address`.
 * Each leaves a line in the database of who it was and from where it was seen.
 */

const client = new pg.Client({
  connectionString: process.env["DATABASE_URL"],
  ssl: { ca: readFileSync(process.env["PGSSLROOTCERT"]!, "utf8") },
});
const context = process.argv[2]!;
await client.connect();

async function visit(): Promise<string> {
  const { rows } = await client.query<{ address: string }>("select host(inet_client_addr()) as address");
  await client.query("insert into visits (context, address) values ($1, $2)", [context, rows[0]!.address]);
  return rows[0]!.address;
}

switch (context) {
  case "address": {
    const { rows } = await client.query<{ address: string }>("select host(inet_client_addr()) as address");
    process.stdout.write(`${rows[0]!.address}\n`);
    break;
  }
  case "migration":
    await client.query("create table visits (context text not null, address text not null)");
    await visit();
    break;
  case "release":
  case "cron":
    await visit();
    break;
  case "server": {
    const server = createServer((_, response) => {
      void visit().then((address) => response.end(address));
    });
    server.listen(3_000, "127.0.0.1", () => process.stdout.write("listening\n"));
    await new Promise<void>((stop) => process.once("SIGTERM", () => stop()));
    server.close();
    server.closeAllConnections();
  }
}
await client.end();
