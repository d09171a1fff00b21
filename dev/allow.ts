import { parseAllowedTarget } from "../protocol/targets.ts";

/** Where PostgreSQL, MySQL, Redis and MongoDB listen by default. */
const DATABASE_PORTS = [5432, 3306, 6379, 27017];

/**
 * What the development client may reach besides the demonstration target: every host by https, this machine's databases,
 * and what else is named.
 *
 * @throws RelayError `request_invalid`, quoting the entry that can't be read
 */
export function devAllow(more: readonly string[] = []): string[] {
  const allow = ["https://*", ...DATABASE_PORTS.map((port) => `tcp://localhost:${port}`), ...more];
  allow.forEach((entry) => parseAllowedTarget(entry));
  return allow;
}
