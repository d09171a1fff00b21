import { once } from "node:events";
import { connect } from "node:net";
import type { Fetch } from "../../client/wire.ts";
import { answerQuestions } from "../../test/support/conversation.ts";
import { body } from "./body.ts";
import { ANSWERS } from "./limits.ts";
import { TARGET_ORIGIN } from "./hosts.ts";
import { type Access, type Way, type WayName, WAYS } from "./ways.ts";

/** Runs on the client's host. */

/** What can be asked. */
export type Question =
  | { readonly what: "call"; readonly way: WayName; readonly access: Access; readonly bytes: number }
  /** A call by an instance of the same app that has its connections. */
  | { readonly what: "other"; readonly access: Access; readonly bytes: number }
  /** Many of these; the answer is how many. */
  | {
      readonly what: "many";
      readonly access: Access;
      readonly seconds: number;
      readonly atOnce: number;
    }
  | { readonly what: "connect"; readonly host: string; readonly port: number };

let warm: ReturnType<(typeof WAYS)["fetch"]> | undefined;

/** Milliseconds to the last byte of the answer. */
async function timed(fetch: Fetch, bytes: number, began: number): Promise<number> {
  const response = await fetch(`${TARGET_ORIGIN}/bytes/${bytes}`);
  const got = Buffer.from(await response.arrayBuffer());
  const ms = performance.now() - began;
  if (response.status !== 200 || !got.equals(body(bytes))) {
    throw new Error(`${response.status} with ${got.length} bytes, which are not those of the target`);
  }
  return ms;
}

async function many({ access, seconds, atOnce }: Extract<Question, { what: "many" }>): Promise<number> {
  const { fetch } = (warm ??= WAYS.fetch(access));
  const until = performance.now() + seconds * 1_000;
  let calls = 0;
  const call = async () => {
    for (; performance.now() < until; calls++) await timed(fetch, ANSWERS["1 kB"], performance.now());
  };
  await Promise.all(Array.from({ length: atOnce }, call));
  return calls;
}

async function answerTo(question: Question): Promise<number> {
  const began = performance.now();
  switch (question.what) {
    case "call": {
      const { fetch, close, ready } = WAYS[question.way](question.access) as Way;
      try {
        await ready;
        return await timed(fetch, question.bytes, ready === undefined ? began : performance.now());
      } finally {
        await close();
      }
    }
    case "other":
      warm ??= WAYS.fetch(question.access);
      return timed(warm.fetch, question.bytes, began);
    case "many":
      return many(question);
    case "connect": {
      const socket = connect({ host: question.host, port: question.port });
      await once(socket, "connect");
      const ms = performance.now() - began;
      socket.destroy();
      return ms;
    }
  }
}

answerQuestions(answerTo);
