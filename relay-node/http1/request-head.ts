import type { Framing } from "../../protocol/claims.ts";

/** What is asked of a target. */
export interface TargetRequest {
  readonly method: string;
  /** Path and query, as they are sent. */
  readonly path: string;
  /** The value of Host. */
  readonly authority: string;
  /** Names and values in turn, Latin-1, judged by `checkRequestFields`: framing, Host and Connection are none of them. */
  readonly fields: readonly string[];
}

/** What ends a request's head. */
const BEYOND = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * The head of a request, with the framing that was signed: Host first, then Connection, the fields as they came, the framing last.
 * What a connection carries behind a HEAD is not trusted: its server is asked to close it.
 *
 * @throws TypeError where a character would end a line: whoever calls has judged them
 */
export function requestHead({ method, path, authority, fields }: TargetRequest, framing: Framing): string {
  let head = `${method} ${path} HTTP/1.1`;
  let lines = `host: ${authority}`;
  lines += method === "HEAD" ? "\r\nconnection: close\r\n" : "\r\nconnection: keep-alive\r\n";
  let all = head + authority;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const value = fields[i + 1]!;
    all += name;
    all += value;
    lines += `${name}: ${value}\r\n`;
  }
  if (BEYOND.test(all)) throw new TypeError("a request's head holds a control character");
  head += `\r\n${lines}`;
  if (framing === "none") return `${head}\r\n`;
  return framing === "chunked"
    ? `${head}transfer-encoding: chunked\r\n\r\n`
    : `${head}content-length: ${framing}\r\n\r\n`;
}
