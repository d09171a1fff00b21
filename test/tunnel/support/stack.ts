import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { createCa, issueCertificate } from "../../../dev/certificates.ts";
import { WORKER_DIR } from "../../support/build-worker.ts";
import { type HostedRelay, PREPARED, startHostedRelay } from "../../support/hosted-relay.ts";
import { startModule } from "../../support/module-on-host.ts";
import {
  authority,
  EDGE_ORIGIN,
  type Host,
  HOSTS,
  NAMES,
  POOL,
  PORT,
  RELAY_NAMES,
  SERVERS,
  type Server,
  WIRE,
} from "./hosts.ts";

/** The relay on its hosts, and what servers and clients beside it need. */
export interface TunnelStack {
  /** A folder that vanishes with the stack; others may look through it, not into what lies there. */
  readonly dir: string;
  readonly relay: HostedRelay<Host>;
  /** Files of the certificate for the names of `SERVERS`: PEM; the key is root's alone. */
  readonly serverFiles: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Files of a certificate of a client's, by the same authority. */
  readonly clientFiles: { readonly cert: string; readonly key: string };
  /** The environment of a client's programs: HOLDFAST_URL, and the authority that stands in for the public ones. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends everything; what is given is ended before. */
  stop(...others: readonly ({ stop(): Promise<unknown> } | undefined)[]): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, "../../..");

/** The command line of the `holdfast` command. */
export const HOLDFAST = [process.execPath, join(ROOT, "cli/holdfast.mjs")] as const;

/** The client that the tests' programs are. */
const CLIENT = "app";

/** Its record: every server, by either node. */
const RECORD = {
  allow: (Object.keys(SERVERS) as Server[]).map((server) => `tcp://${authority(server)}`),
  pool: POOL.map(({ id }) => id),
};

/**
 * Starts the relay on its hosts.
 * @param nodes those of the pool that run, both unless told
 * @param record what the client's record holds besides its targets and its pool
 */
export async function startTunnel(
  nodes = POOL,
  record: Readonly<Record<string, unknown>> = {},
): Promise<TunnelStack> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-tunnel-"));
  // Servers run as users of their own, in folders of their own.
  chmodSync(dir, 0o711);
  const ca = await createCa("Tunnel CA");
  const named = Object.values(SERVERS).filter((server) => server !== SERVERS.misnamed);
  const [parts, servers, client] = await Promise.all([
    issueCertificate(ca, { dns: Object.keys(RELAY_NAMES) }),
    issueCertificate(ca, { dns: named.map(({ name }) => name) }),
    issueCertificate(ca, { of: "client", dns: ["client.example.test"] }),
  ]);
  // This process registers the client, by its own fetch.
  setDefaultCACertificates([...getCACertificates("bundled"), ca.cert]);
  const write = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(dir, name), text, { mode });
    return join(dir, name);
  };
  write(PREPARED.cert, parts.cert);
  write(PREPARED.key, parts.key);
  const serverFiles = {
    ca: write(PREPARED.ca, ca.cert, 0o644),
    cert: write("server-cert.pem", servers.cert),
    key: write("server-key.pem", servers.key),
  };
  const clientFiles = {
    cert: write("client-cert.pem", client.cert),
    key: write("client-key.pem", client.key),
  };
  const names = await startModule(WIRE, "dns", resolve(ROOT, "test/support/name-server.ts"), [
    HOSTS.dns,
    JSON.stringify(NAMES),
  ]);
  let relay: HostedRelay<Host> | undefined;
  const stop = async (...others: readonly ({ stop(): Promise<unknown> } | undefined)[]) => {
    await Promise.allSettled(others.map(async (other) => other?.stop()));
    await Promise.allSettled([relay?.stop(), names.stop()]);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    relay = await startHostedRelay<Host>(WIRE, {
      dir,
      module: join(WORKER_DIR, "index.js"),
      edge: { host: "edge", address: HOSTS.edge, origin: EDGE_ORIGIN },
      port: PORT,
      nodes,
      peers: nodes,
      nodeConfig: { nameServers: [HOSTS.dns], open: ["198.51.100.0/24"], drainSeconds: 5 },
    });
    const { allow } = RECORD;
    await relay.register(CLIENT, { allow, pool: nodes.map(({ id }) => id), ...record });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    dir,
    relay,
    serverFiles,
    clientFiles,
    env: { HOLDFAST_URL: relay.url(CLIENT), NODE_EXTRA_CA_CERTS: serverFiles.ca },
    stop,
  };
}
