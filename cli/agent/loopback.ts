import { createHash } from "node:crypto";

/** A dotted decimal address of 127.0.0.0/8. */
export const LOOPBACK = /^127(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/;

/**
 * A host's loopback addresses, in the order in which they are tried: the same host has the same ones on every start and every
 * machine. All lie in 127.64.0.0/10, away from 127.0.0.0/24 and what Linux distributions put beside it (127.0.1.1,
 * 127.0.0.53).
 *
 * @param attempt 0 for the first choice
 * @example loopbackAddress("db.example.com", 0) // "127.78.188.228"
 */
export function loopbackAddress(host: string, attempt: number): string {
  const [second, third, last] = createHash("sha256").update(`${host} ${attempt}`).digest() as unknown as [
    number,
    number,
    number,
  ];
  // Neither .0 nor .255: some tools take them for a network's own.
  return `127.${64 + (second % 64)}.${third}.${1 + (last % 254)}`;
}
