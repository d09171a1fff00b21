/** Where things stand on a host, as the units in deploy/ expect it. */

/** Folder of a node's or the edge's own files: `/etc/holdfast/<id>`. */
export const HOST_CONFIG = "/etc/holdfast";

/** Folder for what must survive a restart: `/var/lib/holdfast/<id>`. */
export const HOST_STATE = "/var/lib/holdfast";

/** The self-hosted edge's store. */
export const EDGE_STATE = "/var/lib/holdfast-edge";

/** Where certificates stand, by who puts them there; each for one host name. */
export const CERTIFICATES = {
  /** `deploy/install-certificate.sh` copies them here, from certbot for instance. */
  files: (host: string) => ({
    cert: `${HOST_CONFIG}/tls/${host}/cert.pem`,
    key: `${HOST_CONFIG}/tls/${host}/key.pem`,
  }),
  /** Caddy's own storage, as `deploy/compose.yaml` mounts it. */
  caddy: (host: string) => {
    const folder = `${HOST_CONFIG}/caddy/certificates/acme-v02.api.letsencrypt.org-directory/${host}`;
    return { cert: `${folder}/${host}.crt`, key: `${folder}/${host}.key` };
  },
} as const;

/** A node's unit runs as the user `holdfast-<id>`, and a user's name has at most 31 characters. */
export const NODE_ID_MAX = 22;

/** A node's port where the answers name none. */
export const NODE_PORT = 8443;

/** Metrics are served on loopback this far above a node's port, where the answers name no port. */
export const METRICS_PORT_OFFSET = 1_000;

/** The units wait 75 s for a process to end; draining has to fit in. */
export const DRAIN_SECONDS_MAX = 60;

/** And this far where the proxy door has that port. */
export const METRICS_PORT_OFFSET_BESIDE_PROXY = 1_100;

/**
 * Where a node serves its metrics, on loopback; 0 for nowhere.
 * @param doorPorts the ports of the proxy door, which the node may open
 */
export function metricsPortOf(
  node: { readonly port: number; readonly metricsPort?: number | undefined; readonly proxy: boolean },
  doorPorts: readonly number[],
): number {
  if (node.metricsPort !== undefined) return node.metricsPort;
  const usual = node.port + METRICS_PORT_OFFSET;
  const isTaken = node.proxy && doorPorts.includes(usual);
  const port = isTaken ? node.port + METRICS_PORT_OFFSET_BESIDE_PROXY : usual;
  return port <= 65_535 ? port : 0;
}
