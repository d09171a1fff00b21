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

/** Lines are written no more often than this while there are many. */
const REST_MS = 10;

/** So much isn't kept until then. */
const HELD_CHARACTERS = 65_536;

/**
 * Writes the lines of one turn of the event loop together, at its end, and where lines were written a moment ago, those of the next ten
 * milliseconds: each write costs as much as a small request's answer. A warning is written at once, with all before it: the last lines
 * before a kill are the ones that are asked for.
 */
export class TurnLines implements DestinationStream {
  readonly [METADATA] = true;
  /** Set by pino before each line. */
  lastLevel = 0;
  readonly #write: (text: string) => void;
  readonly #atOnce: number;
  readonly #flush = () => this.flush();
  #text = "";
  #writtenAt = -Infinity;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param atOnce the level from which on a line doesn't wait */
  constructor(write: (text: string) => void, atOnce: number) {
    this.#write = write;
    this.#atOnce = atOnce;
  }

  write(line: string): void {
    const isFirst = this.#text === "";
    this.#text += line;
    if (this.lastLevel >= this.#atOnce || this.#text.length > HELD_CHARACTERS) this.flush();
    else if (isFirst) this.#flushSoon();
  }

  flush(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    this.#writtenAt = performance.now();
    this.#write(text);
  }

  #flushSoon(): void {
    const rest = this.#writtenAt + REST_MS - performance.now();
    if (rest > 0) this.#timer = setTimeout(this.#flush, rest);
    else this.#immediate = setImmediate(this.#flush);
  }
}
