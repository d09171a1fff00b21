import pino, { type DestinationStream, type Logger } from "pino";
import type { NodeConfig } from "./config.ts";

/** Asks pino to tell the level of each line. */
const METADATA = Symbol.for("pino.metadata");

/** Writes to standard output. */
export function logger({ id, logLevel }: NodeConfig): Logger {
  const output = pino.destination({ sync: true });
  const lines = new TurnLines((text) => output.write(text), pino.levels.values["warn"]!);
  process.once("exit", () => lines.flush());
  return pino({ level: logLevel, base: { node: id } }, lines);
}

/**
 * Writes the lines of one turn of the event loop together, at its end: many requests end in one turn, and each write costs as much as a
 * small request's answer. A warning is written at once, with all before it: the last lines before a kill are the ones that are
 * asked for.
 */
export class TurnLines implements DestinationStream {
  readonly [METADATA] = true;
  /** Set by pino before each line. */
  lastLevel = 0;
  readonly #write: (text: string) => void;
  readonly #atOnce: number;
  #text = "";
  #flushing: NodeJS.Immediate | undefined;

  /** @param atOnce the level from which on a line doesn't wait */
  constructor(write: (text: string) => void, atOnce: number) {
    this.#write = write;
    this.#atOnce = atOnce;
  }

  write(line: string): void {
    this.#text += line;
    if (this.lastLevel >= this.#atOnce) this.flush();
    else this.#flushing ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#write(text);
  }
}
