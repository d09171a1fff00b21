import pino, { type Logger } from "pino";
import type { NodeConfig } from "./config.ts";

/** Written at once: the last lines before a kill are the ones that are asked for. */
export function logger({ id, logLevel }: NodeConfig): Logger {
  return pino({ level: logLevel, base: { node: id } }, pino.destination({ sync: true }));
}
