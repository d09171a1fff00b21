import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** A process of the test's own that answers questions. */
export interface Conversation {
  /** @throws Error with what went wrong in there */
  ask<Answer>(question: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** Talks with a process that was started with an IPC channel; it ends when the channel is closed. */
export function conversation(child: ChildProcess): Conversation {
  const waiting = new Map<number, { done: (answer: unknown) => void; failed: (error: Error) => void }>();
  let ids = 0;
  child.on("message", ({ id, answer, error }: Reply) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.done(answer);
    else asked?.failed(new Error(error));
  });
  child.once("exit", (code) => {
    for (const { failed } of waiting.values()) failed(new Error(`the process ended with ${code}`));
  });
  return {
    ask: <Answer>(question: unknown) =>
      new Promise<Answer>((done, failed) => {
        const id = ++ids;
        waiting.set(id, { done: done as (answer: unknown) => void, failed });
        child.send({ id, question });
      }),
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}

/** The other end: answers each question as it comes, says "ready", and ends the process when its parent lets go. */
export function answerQuestions(
  answer: (question: never) => unknown,
  stop: () => Promise<unknown> = async () => {},
): void {
  process.on("message", ({ id, question }: { id: number; question: never }) => {
    Promise.resolve(question)
      .then(answer)
      .then(
        (value) => process.send?.({ id, answer: value }),
        (error: unknown) => process.send?.({ id, error: String(error) }),
      );
  });
  process.once("disconnect", () => void stop().then(() => process.exit(0)));
  process.send!("ready");
}
