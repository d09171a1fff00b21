import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A server that tells its callers from which address it sees them, or anything else. */
export interface Witness {
  readonly url: string;
  readonly port: number;
  /** How often it was asked. */
  asked: number;
  /** What it tells of the address that it sees; undefined is no answer at all. */
  tell: (seen: string) => string | undefined;
  /** Answers in its own way, whatever `tell` says. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

/** @example const witness = await startWitness({ tell: () => "198.51.100.9" }); */
export async function startWitness({
  host = "127.0.0.1",
  tell = (seen: string): string | undefined => seen,
} = {}): Promise<Witness> {
  const server = createServer((request, response) => {
    witness.asked++;
    if (witness.answer !== undefined) {
      witness.answer(request, response);
      return;
    }
    const told = witness.tell(request.socket.remoteAddress!.replace(/^::ffff:/, ""));
    if (told === undefined) request.destroy();
    else response.end(JSON.stringify({ address: told }));
  });
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const witness: Witness = {
    url: `http://127.0.0.1:${port}/whoami`,
    port,
    asked: 0,
    tell,
    answer: undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return witness;
}
