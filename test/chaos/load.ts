import { createRelay, isRelayError, relayInfo } from "../../client/index.ts";
import { answerQuestions } from "../support/conversation.ts";
import { TARGET_ORIGIN } from "./hosts.ts";
import type { Attempt } from "./ledger.ts";
import { REQUEST_DEADLINE_MS } from "./limits.ts";
import { seeded } from "./random.ts";

/**
 * The `client` host: a steady load of requests through the relay, begun by the clock and not by the answers, so that what
 * hangs does not slow what follows. HOLDFAST_URL and NODE_EXTRA_CA_CERTS are its own.
 */

/** What can be asked. */
export type LoadQuestion =
  /** Begins to send this many requests a second. */
  | { readonly what: "begin"; readonly rate: number; readonly seed: number }
  /** Begins no more, and answers when the last one has ended. */
  | { readonly what: "end" }
  /** What has ended since this was asked last. */
  | { readonly what: "take" };

/** Where it stands that a body is of some size: past one TLS record, within one round. */
const LARGE_BYTES = 20_000;
const DELAY_MAX_MS = 300;

const relay = createRelay(process.env["HOLDFAST_URL"]);
const underway = new Set<Promise<void>>();
let attempts: Attempt[] = [];
let clock: NodeJS.Timeout | undefined;
let counter = 0;

async function attempt(random: () => number): Promise<void> {
  const method = random() < 0.5 ? "GET" : "POST";
  const id = `${method.toLowerCase()}-${process.pid}-${++counter}`;
  const delayMs = random() < 0.5 ? 0 : Math.floor(random() * DELAY_MAX_MS);
  const bytes = random() < 0.1 ? LARGE_BYTES : 0;
  const isStreamed = method === "POST" && random() < 0.2;
  const body = isStreamed ? streamed(bytes) : `{"amount":${counter}}`;
  const begun = Date.now();
  const ended = (more: Pick<Attempt, "answer" | "failure">) =>
    attempts.push({ id, method, streamed: isStreamed, begun, ms: Date.now() - begun, delayMs, ...more });
  try {
    const response = await relay.fetch(`${TARGET_ORIGIN}/${id}?delay=${delayMs}&bytes=${bytes}`, {
      method,
      signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
      ...(method === "POST" && { body, duplex: "half" }),
    });
    const { from } = (await response.json()) as { from: string };
    const { node = "", egress = "" } = relayInfo(response) ?? {};
    ended({ answer: { node, egress, seen: from } });
  } catch (error) {
    const { name, message } = error as Error;
    const failure = isRelayError(error)
      ? { code: error.code, reached: error.reached, detail: error.detail }
      : { code: name, reached: "untold", detail: message };
    ended({ failure: { ...failure, detail: failure.detail.slice(0, 200) } });
  }
}

/** A body that nobody can send twice: its length is not told before. */
function streamed(bytes: number): ReadableStream<Uint8Array> {
  return new Blob([new Uint8Array(bytes + 100)]).stream();
}

function answer(question: LoadQuestion): unknown {
  if (question.what === "begin") {
    const random = seeded(question.seed);
    clock = setInterval(() => {
      const one = attempt(random).finally(() => underway.delete(one));
      underway.add(one);
    }, 1_000 / question.rate);
    return undefined;
  }
  if (question.what === "end") {
    clearInterval(clock);
    return Promise.all(underway).then(() => undefined);
  }
  const taken = attempts;
  attempts = [];
  return taken;
}

answerQuestions(answer);
