import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { answerQuestions } from "../../support/conversation.ts";
import { Digest, pattern } from "./pattern.ts";
import type { Order, Question, Seen } from "./peer-messages.ts";

/**
 * A process on the database host that takes, sends, holds and stalls, as each connection's first line orders; and a server of
 * plain HTTP that tells its caller's address. Arguments: address, port, port for HTTP.
 */

const [host, port, httpPort] = process.argv.slice(2) as [string, string, string];

class Connection {
  readonly #socket: Socket;
  readonly #order: Order;
  readonly #received = new Digest();
  readonly #sent = new Digest();
  #finished = false;
  #error: string | undefined;

  constructor(socket: Socket, order: Order) {
    this.#socket = socket;
    this.#order = order;
    socket.on("error", ({ message }) => (this.#error = message));
  }

  async serve(rest: Buffer): Promise<void> {
    const socket = this.#socket;
    if (rest.length > 0) this.#received.add(rest);
    if (this.#order.what === "stall") return;
    this.read();
    if (this.#order.what === "hold") socket.write("held\n");
    if (this.#order.what !== "send") return;
    for (const block of pattern(this.#order.bytes ?? 0)) {
      this.#sent.add(block);
      await new Promise<void>((taken) => socket.write(block, () => taken()));
      if (socket.destroyed) return;
    }
    socket.end();
  }

  read(): void {
    this.#socket.on("data", (chunk: Buffer) => this.#received.add(chunk));
    this.#socket.once("end", () => {
      this.#finished = true;
      // The other way goes on for as long as it has something to say.
      if (this.#order.what === "take" || this.#order.what === "stall") {
        this.#socket.end(`${this.#received.bytes} ${this.#received.hex}\n`);
      }
      if (this.#order.what === "hold") this.#socket.end();
    });
    this.#socket.resume();
  }

  get seen(): Seen {
    const socket = this.#socket;
    return {
      name: this.#order.name,
      from: socket.remoteAddress ?? from.get(socket)!,
      received: this.#received.bytes,
      receivedHash: this.#received.hex,
      sent: socket.bytesWritten - socket.writableLength,
      sentHash: this.#sent.hex,
      finished: this.#finished,
      closed: socket.destroyed,
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }
}

const connections = new Map<string, Connection>();
const open = new Set<Socket>();
/** A socket forgets its address when it closes. */
const from = new WeakMap<Socket, string>();

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  open.add(socket);
  from.set(socket, socket.remoteAddress ?? "");
  socket.once("close", () => open.delete(socket));
  // Until the order has come nobody else listens.
  socket.on("error", () => {});
  let head = Buffer.alloc(0);
  const take = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\n");
    if (end === -1) return;
    socket.off("data", take);
    socket.pause();
    const order = JSON.parse(head.toString("utf8", 0, end)) as Order;
    const connection = new Connection(socket, order);
    connections.set(order.name, connection);
    void connection.serve(head.subarray(end + 1));
  };
  socket.on("data", take);
});
server.listen(Number(port), host);
await once(server, "listening");

const http = createHttpServer((request, response) => {
  response.end(`${request.socket.remoteAddress}\n`);
});
http.listen(Number(httpPort), host);
await once(http, "listening");

function answerTo(question: Question): unknown {
  switch (question.what) {
    case "seen":
      return connections.get(question.name)?.seen;
    case "open":
      return open.size;
    case "go":
      connections.get(question.name)?.read();
      return undefined;
  }
}

answerQuestions(answerTo);
