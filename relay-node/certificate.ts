import { readFileSync, unwatchFile, watchFile } from "node:fs";
import { createSecureContext, type Server } from "node:tls";
import type { Logger } from "pino";
import { CERTIFICATE_POLL_MS } from "./limits.ts";

/** Where a listener's certificate and its key stand. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a TLS server is made of. @throws the system's error */
export function readCertificate({ cert, key }: CertificateFiles) {
  return { cert: readFileSync(cert), key: readFileSync(key), minVersion: "TLSv1.2" as const };
}

/** Reads certificate and key again when their files change, for as long as the server listens. */
export function keepCertificate(server: Server, files: CertificateFiles, log: Logger): void {
  const reload = () => {
    try {
      const next = readCertificate(files);
      createSecureContext(next);
      server.setSecureContext(next);
      log.info("certificate reloaded");
    } catch (error) {
      // Between the writes of two files they don't fit; the next poll sees both.
      log.error({ cause: (error as Error).message }, "certificate not reloaded: the old one stays");
    }
  };
  const paths = [files.cert, files.key];
  for (const path of paths) watchFile(path, { interval: CERTIFICATE_POLL_MS, persistent: false }, reload);
  // Another listener may look at the same files.
  server.on("close", () => paths.forEach((path) => unwatchFile(path, reload)));
}
