import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCa } from "../../dev/certificates.ts";
import type { Ran } from "../support/run.ts";
import { type ModuleOnHost, startModule } from "../support/module-on-host.ts";
import type { Handshake } from "./programs/tls-witness.ts";
import { holdfastRun, runOnEgress } from "./support/client.ts";
import { authority, EGRESS, HOSTS, POOL, SERVERS, WIRE } from "./support/hosts.ts";
import { PROGRAM_DEADLINE_MS } from "./support/limits.ts";
import { type Postgres, startPostgres } from "./support/servers/postgres.ts";
import { startTunnel, type TunnelStack } from "./support/stack.ts";
import { until } from "./support/until.ts";

/** What a TLS server and its client see of each other is what they see on a direct connection from an admitted host. */

let stack: TunnelStack;
let postgres: Postgres;
let witness: ModuleOnHost;
/** Files of another authority, whom nobody should trust. */
let otherCa: string;

beforeAll(async () => {
  // One node, so that both ways leave from one address.
  stack = await startTunnel(POOL.slice(0, 1));
  const { cert, key } = stack.serverFiles;
  [postgres, witness] = await Promise.all([
    startPostgres(stack),
    startModule(WIRE, "db", resolve(import.meta.dirname, "programs/tls-witness.ts"), [
      HOSTS.db,
      String(SERVERS.witness.port),
      cert,
      key,
      stack.serverFiles.ca,
    ]),
  ]);
  otherCa = join(stack.dir, "other-ca.pem");
  writeFileSync(otherCa, (await createCa("Nobody")).cert);
});

afterAll(() => stack.stop(postgres, witness));

/** Runs a command directly and through the relay. */
async function bothWays(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<[Ran, Ran]> {
  const to = ["--to", [authority("postgres"), authority("misnamed"), authority("witness")].join(",")];
  return [await runOnEgress(command, { env }), await holdfastRun(stack, to, command, { env })];
}

const SSL =
  "select version, cipher, bits, client_dn, client_serial, issuer_dn, host(client_addr) from pg_stat_ssl join pg_stat_activity using (pid) where pid = pg_backend_pid()";

test("pg_stat_ssl tells the same, with a client's certificate", async () => {
  const { key, cert } = stack.clientFiles;
  const env = { ...postgres.env, PGSSLCERT: cert, PGSSLKEY: key };
  const [direct, relayed] = await bothWays(["psql", "-XAtc", SSL], env);
  expect(direct.code, direct.stderr).toBe(0);
  expect(direct.stdout).toContain("/CN=client.example.test|");
  expect(direct.stdout.trim().split("|").at(-1)).toBe(EGRESS[0]);
  expect(relayed.stdout, relayed.stderr).toBe(direct.stdout);
});

/** Every sslmode, with what should be refused by either side. */
const MODES = [
  { what: "verify-full", env: {}, fails: undefined },
  { what: "verify-ca", env: { PGSSLMODE: "verify-ca" }, fails: undefined },
  { what: "require", env: { PGSSLMODE: "require" }, fails: undefined },
  { what: "prefer", env: { PGSSLMODE: "prefer" }, fails: undefined },
  {
    what: "verify-full, an authority that did not sign",
    env: { other: "ca" },
    fails: "certificate verify failed",
  },
  {
    what: "verify-full, a name that the certificate lacks",
    env: { PGHOST: SERVERS.misnamed.name },
    fails: `does not match host name "${SERVERS.misnamed.name}"`,
  },
  { what: "disable", env: { PGSSLMODE: "disable" }, fails: "no encryption" },
] as const;

test.for(MODES)("sslmode means the same: $what", async ({ env, fails }) => {
  const { other, ...rest } = env as { other?: string } & Record<string, string>;
  const [direct, relayed] = await bothWays(["psql", "-XAtc", SSL], {
    ...postgres.env,
    ...rest,
    ...(other !== undefined && { PGSSLROOTCERT: otherCa }),
  });
  if (fails === undefined) expect(direct.code, direct.stderr).toBe(0);
  else expect(direct.stderr).toContain(fails);
  expect(relayed.code).toBe(direct.code);
  expect(relayed.stdout).toBe(direct.stdout);
  // The address that a name leads to is the one thing that differs, besides the agent's own word of it.
  const plain = ({ stderr }: Ran) => stderr.replaceAll(/ \(\d+\.\d+\.\d+\.\d+\)|^holdfast: .*\n/gm, "");
  expect(plain(relayed)).toBe(plain(direct));
});

test("the client sees the server's own certificate", async () => {
  const command = [
    "openssl",
    "s_client",
    "-starttls",
    "postgres",
    "-showcerts",
    "-connect",
    authority("postgres"),
  ];
  const [direct, relayed] = await bothWays(command, {});
  const certificate = ({ stdout }: Ran) => /-----BEGIN CERT[^]*?-----END CERTIFICATE-----/.exec(stdout)?.[0];
  expect(certificate(relayed)).toBe(certificate(direct));
  expect(certificate(relayed)).toBe(readFileSync(stack.serverFiles.cert, "utf8").trim());
});

/** Clients whose handshakes a server takes down. */
const CLIENTS: readonly {
  readonly what: string;
  readonly command: readonly string[];
  readonly servername: string | false;
}[] = [
  {
    what: "libpq",
    command: ["psql", "-Xc", "select 1", `host=${SERVERS.witness.name} port=${SERVERS.witness.port}`],
    servername: SERVERS.witness.name,
  },
  {
    what: "openssl, with ALPN",
    command: ["openssl", "s_client", "-alpn", "holdfast-test", "-connect", authority("witness")],
    servername: SERVERS.witness.name,
  },
  {
    what: "openssl, without SNI",
    command: ["openssl", "s_client", "-noservername", "-connect", authority("witness")],
    servername: false,
  },
];

describe.for(CLIENTS)("$what", ({ command, servername }) => {
  test("shows the server the same handshake", async () => {
    await bothWays(command, {
      PGSSLMODE: "verify-full",
      PGSSLROOTCERT: stack.serverFiles.ca,
      PGUSER: "nobody",
    });
    const seen: Handshake[] = [];
    await until("two handshakes", PROGRAM_DEADLINE_MS, async () => {
      seen.push(...(await witness.ask<Handshake[]>({})));
      return seen.length >= 2;
    });
    const [direct, relayed, ...more] = seen;
    expect(more).toEqual([]);
    expect(direct).toMatchObject({ servername, protocol: "TLSv1.3", from: EGRESS[0] });
    expect(relayed).toEqual(direct);
  });
});
