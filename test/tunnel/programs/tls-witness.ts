import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { answerQuestions } from "../../support/conversation.ts";

/**
 * A process on the database host that notes of each connection what its client showed: by TLS at once, or after PostgreSQL's
 * request for it. Arguments: address, port, certificate, key, authority of clients. Asked for what it saw, it tells and forgets.
 */

/** What a server sees of a client's handshake. */
export interface Handshake {
  readonly from: string;
  readonly servername: string | false | undefined;
  readonly protocol: string | null;
  readonly cipher: string;
  readonly alpn: string | false | null;
  /** Of the client's certificate, where it showed one. */
  readonly clientSubject: string | undefined;
  /** Bytes of what the client sent first. */
  readonly helloBytes: number;
}

/** SSLRequest (PostgreSQL, "Message Formats"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

const [host, port, cert, key, ca] = process.argv.slice(2) as [string, string, string, string, string];
const files = { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) };
let seen: Handshake[] = [];

const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", (first: Buffer) => {
    if (!first.equals(SSL_REQUEST)) {
      shake(socket, first);
      return;
    }
    socket.once("data", (hello: Buffer) => shake(socket, hello));
    socket.write("S");
  });
});

function shake(socket: Socket, hello: Buffer): void {
  socket.pause();
  socket.unshift(hello);
  const from = socket.remoteAddress ?? "";
  const secure = new TLSSocket(socket, {
    isServer: true,
    ...files,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["holdfast-test"],
  });
  secure.on("error", () => {});
  secure.once("secure", () => {
    seen.push({
      from,
      servername: (secure as { servername?: string | false }).servername,
      protocol: secure.getProtocol(),
      cipher: secure.getCipher().name,
      alpn: secure.alpnProtocol,
      clientSubject: secure.getPeerX509Certificate()?.subject,
      helloBytes: hello.length,
    });
    secure.end("seen\n");
  });
}

server.listen(Number(port), host);
await once(server, "listening");

answerQuestions(() => {
  const told = seen;
  seen = [];
  return told;
});
