import type { ProxyRequest } from "../../protocol/proxy-requests.ts";

/**
 * The head of a CONNECT as clients write it: each line ended by CRLF, one space between the first line's parts, no line folded, names
 * of tokens and values without controls (RFC 9112 sections 3 and 5).
 */
const HEAD =
  /^CONNECT ([\x21-\x7e]+) HTTP\/(1\.[01])\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\x20-\x7e\x80-\xff]*\r\n)*)\r\n/;

/** Fields that say more of a request than what a CONNECT is. */
const OTHERS: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "upgrade", "expect"]);

/** A longer one is somebody else's to read. */
const BYTES_MAX = 16_384;

/** A CONNECT's head, and how many bytes it has. */
export interface ConnectHead {
  readonly request: ProxyRequest;
  readonly length: number;
}

/**
 * Reads the head of a plain CONNECT from the first bytes of a connection. Whatever is not whole, or not written as plainly as that, is
 * left to an HTTP parser, and undefined here: nothing is refused by this.
 */
export function readConnectHead(bytes: Buffer): ConnectHead | undefined {
  // A C, before more is looked at.
  if (bytes[0] !== 0x43) return undefined;
  const match = HEAD.exec(bytes.toString("latin1", 0, BYTES_MAX));
  if (match === null) return undefined;
  const [head, target, version, lines] = match as unknown as [string, string, string, string];
  const fields: [string, string][] = [];
  let at = 0;
  while (at < lines.length) {
    const colon = lines.indexOf(":", at);
    const end = lines.indexOf("\r\n", colon);
    const name = lines.slice(at, colon);
    if (OTHERS.has(name.toLowerCase())) return undefined;
    fields.push([name, trimmed(lines, colon + 1, end)]);
    at = end + 2;
  }
  return { request: { method: "CONNECT", target, version, fields }, length: head.length };
}

/** A value without the spaces around it. */
function trimmed(lines: string, from: number, to: number): string {
  let first = from;
  let last = to;
  while (first < last && lines.charCodeAt(first) === 0x20) first++;
  while (last > first && lines.charCodeAt(last - 1) === 0x20) last--;
  return lines.slice(first, last);
}
