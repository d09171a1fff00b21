import { Client, neonConfig } from "@neondatabase/serverless";
import { createScopeToken } from "holdfast";

interface Env {
  readonly HOLDFAST_URL: string;
  readonly DATABASE_URL: string;
}

/** How long a token opens connections; one that is open stays so. */
const TOKEN_SECONDS = 60;

// The driver's shortcut sends the password before the server has asked, which servers with SCRAM do not understand.
neonConfig.pipelineConnect = false;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname !== "/orders") return new Response("not found\n", { status: 404 });
    const client = await connect(env);
    try {
      if (request.method === "POST") {
        const { rows } = await client.query("insert into orders (made_by) values ('worker') returning id");
        return Response.json(rows[0], { status: 201 });
      }
      const { rows } = await client.query(
        "select count(*)::int as orders, host(inet_client_addr()) as address from orders",
      );
      return Response.json(rows[0]);
    } finally {
      await client.end();
    }
  },
};

/** A connection of Neon's driver whose WebSocket leads to the relay, and from there to the database. */
async function connect(env: Env): Promise<Client> {
  const edge = new URL(env.HOLDFAST_URL).host;
  const { hostname, port } = new URL(env.DATABASE_URL);
  const token = await createScopeToken(env.HOLDFAST_URL, {
    act: "stream",
    allow: [`tcp://${hostname}:${port || 5432}`],
    ttlSeconds: TOKEN_SECONDS,
  });
  const client = new Client(env.DATABASE_URL);
  client.neonConfig.wsProxy = (host, to) => `${edge}/stream/${token}?address=${host}:${to}`;
  await client.connect();
  return client;
}
