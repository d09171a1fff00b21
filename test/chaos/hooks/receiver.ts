import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import type { Arrival } from "./ledger.ts";
import { FAILING_SHARE, SLOW_MAX_MS, SLOW_SHARE } from "./limits.ts";
import { isSigned } from "./standard-webhooks.ts";

const KEEP_ALIVE_MS = 65_000;

/** What a receiver is started with. */
export interface ReceiverOptions {
  readonly port: number;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** What deliveries are signed with. */
  readonly secret: string;
  readonly random: () => number;
}

/** The receiver behind the firewall: notes what comes, and mostly answers 200; it is slow at times, and fails at times. */
export class Receiver {
  readonly arrivals: Arrival[] = [];
  readonly #options: ReceiverOptions;
  readonly #server;
  /** Until the run ends: then it only takes. */
  isMoody = true;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    const { cert, key } = options;
    this.#server = createServer({ cert, key, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      this.#take(request, response).catch(() => response.destroy());
    });
  }

  /** Where a route delivers to. */
  target(route: string): string {
    return `https://localhost:${this.#options.port}/${route}`;
  }

  async start(): Promise<void> {
    await once(this.#server.listen(this.#options.port, "127.0.0.1"), "listening");
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers } = request;
    const noted: { -readonly [Key in keyof Arrival]: Arrival[Key] } = {
      id: String(headers["x-event-id"]),
      route: request.url!.slice(1),
      digest: "",
      at: Date.now(),
      ended: null,
      status: null,
      isSigned: false,
    };
    this.arrivals.push(noted);
    response.once("close", () => (noted.ended ??= Date.now()));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    noted.digest = createHash("sha256").update(body).digest("hex");
    noted.isSigned = headers["webhook-id"] === noted.id && isSigned(this.#options.secret, headers, body);
    const { status, delayMs } = this.#mood();
    noted.status = status;
    if (delayMs > 0) await sleep(delayMs);
    response.once("finish", () => (noted.ended = Date.now()));
    response.writeHead(status, { "Content-Type": "text/plain" }).end(`${status}\n`);
  }

  #mood(): { status: number; delayMs: number } {
    const { random } = this.#options;
    const [failing, slow, share] = [random(), random(), random()];
    if (!this.isMoody) return { status: 200, delayMs: 0 };
    return {
      status: failing < FAILING_SHARE ? 500 : 200,
      delayMs: slow < SLOW_SHARE ? Math.ceil(share * SLOW_MAX_MS) : 0,
    };
  }
}
