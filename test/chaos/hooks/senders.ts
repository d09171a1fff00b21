import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../random.ts";
import type { Sent } from "./ledger.ts";
import {
  LANES,
  LARGE_BYTES,
  LARGE_ONE_IN,
  PAUSE_MAX_MS,
  REPEAT_AFTER_MS,
  REPEAT_FOR_MS,
  SEND_DEADLINE_MS,
  SENDERS,
  SMALL_MAX_BYTES,
} from "./limits.ts";
import { signed } from "./standard-webhooks.ts";

/** Where providers send to. */
export interface SendersOptions {
  /** The edge's origin. */
  readonly edge: string;
  readonly routes: { readonly free: string; readonly fifo: string };
  /** What the providers sign with. */
  readonly secret: string;
  readonly seed: number;
}

/** Providers: each sends one event after the other, and one that got no 2xx again, with the same id. */
export class Senders {
  readonly sent: Sent[] = [];
  /** How often each answer came, and each failure. */
  readonly answers: Record<string, number> = {};
  readonly #options: SendersOptions;
  #running: Promise<void>[] = [];
  #isEnding = false;

  constructor(options: SendersOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#running = Array.from({ length: SENDERS }, (_, index) => this.#send(index));
  }

  /** Begins no other event, and resolves when the last one was acknowledged or given up. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#running);
  }

  async #send(index: number): Promise<void> {
    const { routes, seed } = this.#options;
    const random = seeded(seed * SENDERS + index);
    const lane = index < LANES ? `lane-${index}` : null;
    const route = lane === null ? routes.free : routes.fifo;
    for (let seq = 1; !this.#isEnding; seq++) {
      const id = `evt-${seed}-${index}-${seq}`;
      const body = bodyOf(id, random);
      const answer = await this.#untilTaken({ id, route, lane, seq, body });
      this.sent.push({
        id,
        route,
        lane,
        seq,
        digest: createHash("sha256").update(body).digest("hex"),
        acknowledged: answer === undefined ? null : Date.now(),
        delivery: answer ?? null,
      });
      // What follows one that may not be stored proves nothing of its lane.
      if (answer === undefined) return;
      await sleep(random() * (lane === null ? PAUSE_MAX_MS.free : PAUSE_MAX_MS.lane));
    }
  }

  /** Resolves with the delivery's id, or undefined when the time is over. */
  async #untilTaken(event: {
    readonly id: string;
    readonly route: string;
    readonly lane: string | null;
    readonly seq: number;
    readonly body: Uint8Array<ArrayBuffer>;
  }): Promise<string | undefined> {
    const { id, route, lane, seq, body } = event;
    const until = Date.now() + REPEAT_FOR_MS;
    while (Date.now() < until) {
      try {
        const response = await fetch(`${this.#options.edge}/hooks/${route}`, {
          method: "POST",
          headers: {
            "Content-Type": "application/octet-stream",
            "X-Event-Id": id,
            "X-Sequence": String(seq),
            ...(lane !== null && { "X-Lane": lane }),
            ...signed(this.#options.secret, id, body),
          },
          body,
          signal: AbortSignal.timeout(SEND_DEADLINE_MS),
        });
        const text = await response.text();
        this.#note(`${response.status} ${response.headers.get("relay-error") ?? ""}`.trim());
        if (response.ok) return (JSON.parse(text) as { id: string }).id;
      } catch (error) {
        const { name, cause } = error as Error & { cause?: { code?: string } };
        this.#note(cause?.code ?? name);
      }
      await sleep(REPEAT_AFTER_MS);
    }
    return undefined;
  }

  #note(answer: string): void {
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
  }
}

/** Bytes that are no text, of many lengths; none at all too. */
function bodyOf(id: string, random: () => number): Uint8Array<ArrayBuffer> {
  const length =
    random() < 1 / LARGE_ONE_IN
      ? LARGE_BYTES + Math.floor(random() * LARGE_BYTES)
      : Math.floor(random() * SMALL_MAX_BYTES);
  const body = new Uint8Array(length).fill(0xc3);
  body.set(new TextEncoder().encode(id).subarray(0, length));
  return body;
}
