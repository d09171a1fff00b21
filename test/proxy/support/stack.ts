import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { adminCall } from "../../../client/admin.ts";
import { createCa, issueCertificate } from "../../../dev/certificates.ts";
import type { ScopeClaims } from "../../../protocol/claims.ts";
import { importPrivateKey } from "../../../protocol/keys.ts";
import { newRequestId, signToken } from "../../../protocol/tokens.ts";
import { WORKER_DIR } from "../../support/build-worker.ts";
import { type HostedRelay, PREPARED, startHostedRelay } from "../../support/hosted-relay.ts";
import { startModule } from "../../support/module-on-host.ts";
import {
  DEAD_PORT,
  EDGE_ORIGIN,
  type Host,
  HOSTS,
  METRICS_PORT,
  NAMES,
  POOL,
  PORT,
  PROXY_NAME,
  PROXY_PORTS,
  RELAY_NAMES,
  TARGETS,
  WIRE,
} from "./hosts.ts";
import { DRAIN_SECONDS } from "./limits.ts";
import type { Call } from "./target-server.ts";

/** How a user speaks to the door. */
export type ProxyScheme = "https" | "http" | "socks5h";

/** Who uses the door: a client's id, with a scope token or the handle that stands for one. */
export interface ProxyUser {
  readonly client: string;
  readonly token: string;
  readonly handle: string;
  /** By which the handle is revoked. */
  readonly handleId: string;
}

/** The relay on its hosts, with a target and a user of the proxy door. */
export interface ProxyStack {
  /** A folder that vanishes with the stack. */
  readonly dir: string;
  readonly relay: HostedRelay<Host>;
  /** PEM file of the authority of all certificates. */
  readonly ca: string;
  /** What the target serves below `/files/`. */
  readonly files: string;
  readonly user: ProxyUser;
  /** Makes another scope token, with a handle. */
  admit(changes?: Partial<ScopeClaims>): Promise<ProxyUser>;
  /** Revokes a user's handle. */
  revoke(user: ProxyUser): Promise<void>;
  /** What the target has seen. */
  calls(): Promise<readonly Call[]>;
  stop(): Promise<void>;
}

const ROOT = resolve(import.meta.dirname, "../../..");

/** The client that the users belong to. */
const CLIENT = "app";

/** What the client may reach, and its users. */
const ALLOW = [
  `https://${TARGETS.api}`,
  `http://${TARGETS.api}`,
  `https://${TARGETS.plain}`,
  `http://${TARGETS.plain}`,
  `tcp://${TARGETS.plain}:80`,
  `http://${TARGETS.limited}/open/*`,
  `https://${TARGETS.api}:${DEAD_PORT}`,
  `http://${TARGETS.api}:${DEAD_PORT}`,
];

/** Starts the relay on its hosts, and the target. */
export async function startProxyStack(): Promise<ProxyStack> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-proxy-"));
  const files = join(dir, "files");
  mkdirSync(files);
  const authority = await createCa("Proxy CA");
  const [parts, targets] = await Promise.all([
    issueCertificate(authority, { dns: Object.keys(RELAY_NAMES) }),
    issueCertificate(authority, { dns: Object.values(TARGETS) }),
  ]);
  // This process registers the client, by its own fetch.
  setDefaultCACertificates([...getCACertificates("bundled"), authority.cert]);
  const write = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(dir, name), text, { mode });
    return join(dir, name);
  };
  write(PREPARED.cert, parts.cert);
  write(PREPARED.key, parts.key);
  const ca = write(PREPARED.ca, authority.cert, 0o644);
  const [names, target] = await Promise.all([
    startModule(WIRE, "dns", resolve(ROOT, "test/support/name-server.ts"), [
      HOSTS.dns,
      JSON.stringify(NAMES),
    ]),
    startModule(WIRE, "target", resolve(ROOT, "test/proxy/support/target-server.ts"), [
      HOSTS.target,
      write("target-cert.pem", targets.cert),
      write("target-key.pem", targets.key),
      files,
    ]),
  ]);
  let relay: HostedRelay<Host> | undefined;
  const stop = async () => {
    await Promise.allSettled([relay?.stop(), names.stop(), target.stop()]);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    relay = await startHostedRelay<Host>(WIRE, {
      dir,
      module: join(WORKER_DIR, "index.js"),
      edge: { host: "edge", address: HOSTS.edge, origin: EDGE_ORIGIN },
      port: PORT,
      nodes: POOL,
      peers: POOL,
      nodeConfig: {
        nameServers: [HOSTS.dns],
        open: ["198.51.100.0/24"],
        drainSeconds: DRAIN_SECONDS,
        metrics: { host: "127.0.0.1", port: METRICS_PORT },
      },
      proxy: PROXY_PORTS,
      edgeVars: {
        PROXY_URLS: [
          `https://${PROXY_NAME}:${PROXY_PORTS.https}`,
          `http://${PROXY_NAME}:${PROXY_PORTS.http}`,
          `socks5h://${PROXY_NAME}:${PROXY_PORTS.socks5}`,
        ],
      },
    });
    await relay.register(CLIENT, { allow: ALLOW, pool: POOL.map(({ id }) => id) });
    const { operator } = relay;
    const key = await importPrivateKey(new URL(relay.url(CLIENT)).password);
    const admit = async (changes: Partial<ScopeClaims> = {}): Promise<ProxyUser> => {
      const now = Math.floor(Date.now() / 1_000);
      const claims = { iss: CLIENT, aud: EDGE_ORIGIN, act: "proxy", iat: now, exp: now + 3_600 };
      const token = await signToken(
        "scope",
        { ...claims, jti: newRequestId(), allow: ALLOW, ...changes },
        key,
      );
      const { value } = await adminCall(operator, "POST", "/admin/handles", { body: { token } });
      const { id, handle } = value as { readonly id: string; readonly handle: string };
      return { client: CLIENT, token, handle, handleId: id };
    };
    return {
      dir,
      relay,
      ca,
      files,
      user: await admit(),
      admit,
      revoke: async ({ handleId }) => {
        await adminCall(operator, "DELETE", `/admin/handles/${handleId}`);
      },
      calls: () => target.ask<readonly Call[]>({}),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * A proxy URL.
 * @param host the name of both nodes unless told
 */
export function proxyUrl(
  scheme: ProxyScheme,
  { client, password }: { readonly client: string; readonly password: string },
  host: string = PROXY_NAME,
): string {
  const port = PROXY_PORTS[scheme === "socks5h" ? "socks5" : scheme];
  return `${scheme}://${client}:${password}@${host}:${port}`;
}
