import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalProxies, startLocalProxies } from "../../cli/agent/local-proxies.ts";
import { type Credentials, proxyCredentials } from "../../client/node/proxy/credentials.ts";
import { createCa, issueCertificate } from "../../dev/certificates.ts";
import { type FakeOpener, fakeOpener } from "./fake-opener.ts";
import { type RawAnswer, sendRaw } from "./raw-http.ts";

/** A host of the relay's alone: no resolver knows it. */
export const HOST = "api.relay.test";

/** A request as a target saw it. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** Both proxies with targets behind them: HTTP and HTTPS at `HOST`, an echo at db.relay.test:5432, 2001:db8::5 and 192.0.2.7 port 7. */
export interface ProxyBench {
  readonly relay: FakeOpener;
  readonly seen: Seen[];
  readonly credentials: Credentials;
  readonly urls: LocalProxies["urls"];
  readonly ports: { readonly http: number; readonly socks: number; readonly plain: number };
  readonly echo: Server;
  /** A file with the authority that the targets' certificates are of. */
  readonly caFile: string;
  /** The field by which the HTTP proxy is used. */
  readonly basic: string;
  /** Sends bytes to the HTTP proxy. */
  ask(bytes: string): Promise<RawAnswer | undefined>;
  /** Forgets what was seen. */
  reset(): void;
  close(): Promise<void>;
}

export async function startProxyBench(): Promise<ProxyBench> {
  const dir = mkdtempSync(join(tmpdir(), "holdfast-proxy-"));
  const ca = await createCa("Proxy test CA");
  const caFile = join(dir, "ca.pem");
  writeFileSync(caFile, ca.cert);
  const seen: Seen[] = [];
  const certificate = await issueCertificate(ca, { dns: [HOST], ip: [] });
  const plain = createHttpServer(answering(seen));
  const tls = createTlsServer({ cert: certificate.cert, key: certificate.key }, answering(seen));
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket));
  const servers = [plain, tls, echo];
  await Promise.all(
    servers.map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))),
  );
  const relay = fakeOpener({
    [`${HOST}:80`]: portOf(plain),
    [`${HOST}:443`]: portOf(tls),
    "db.relay.test:5432": portOf(echo),
    "2001:db8::5:7": portOf(echo),
    "192.0.2.7:7": portOf(echo),
  });
  const credentials = proxyCredentials();
  const { urls, close } = await startLocalProxies({
    open: relay.open,
    hosts: ["*.relay.test"],
    destinations: [
      { host: "2001:db8::5", port: 7 },
      { host: "192.0.2.7", port: 7 },
    ],
    credentials,
  });
  const ports = {
    http: Number(new URL(urls.http).port),
    socks: Number(new URL(urls.socks).port),
    plain: portOf(plain),
  };
  const login = Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64");
  return {
    relay,
    seen,
    credentials,
    urls,
    ports,
    echo,
    caFile,
    basic: `Proxy-Authorization: Basic ${login}`,
    ask: (bytes) => sendRaw({ port: ports.http }, bytes),
    reset() {
      relay.asked.length = 0;
      relay.failWith(undefined);
      seen.length = 0;
    },
    async close() {
      await close();
      for (const server of [plain, tls]) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
      rmSync(dir, { recursive: true });
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Tells the request back; `/cut` and `/cut-chunked` break off in the body. */
function answering(seen: Seen[]): RequestListener {
  return (incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method = "", url = "", rawHeaders } = incoming;
      seen.push({ method, url, rawHeaders, body: Buffer.concat(chunks).toString() });
      if (url === "/cut" || url === "/cut-chunked") {
        if (url === "/cut") response.setHeader("Content-Length", 10);
        response.write("half!", () => response.destroy());
        return;
      }
      const fields = [
        ["X-Twice", "1"],
        ["x-twice", "2"],
        ["Proxy-Authenticate", "x"],
      ];
      response.writeHead(200, fields.flat());
      response.end(`${method} ${url}`);
    });
  };
}
