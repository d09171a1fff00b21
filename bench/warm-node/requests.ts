import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { base64url } from "jose";
import { encodeSection, sectionToWire } from "../../protocol/envelope.ts";
import { deriveGrantKey, type GrantKey, importGrantKey, newPass, signGrant } from "../../protocol/grants.ts";
import type { Field } from "../../protocol/headers.ts";
import { GRANT_MAX_SECONDS } from "../../protocol/limits.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { packed } from "../native.ts";

/** What every side sends to the target besides Host and framing. */
const FIELDS: readonly Field[] = [
  ["Accept", "application/json"],
  ["User-Agent", "bench/1"],
];

/** A body that is posted, and the bytes that the edge sends behind one that must not be posted twice. */
const BODY = "x".repeat(1_024);
const TAIL_BYTES = 3;

/** Which request is made of a target. */
export type Method = "GET" | "POST";

/** Who may send what to a node: what an edge has of it. */
export interface GrantMaker {
  readonly edge: string;
  readonly nodeId: string;
  readonly clientId: string;
  /** Thumbprint of the client's key. */
  readonly clientKey: string;
  readonly key: GrantKey;
}

export async function grantKeyOf(master: string, nodeId: string): Promise<GrantKey> {
  const bytes = Uint8Array.from(base64url.decode(master));
  return importGrantKey(await deriveGrantKey(bytes, nodeId));
}

/** A request to a forward proxy, or with a path alone to the target itself. */
export function plainRequest(method: Method, to: string, authority: string): string {
  const body = method === "POST" ? BODY : undefined;
  const fields = [
    ["Host", authority],
    ...FIELDS,
    ...(body === undefined ? [] : [["Content-Length", body.length]]),
  ];
  return `${method} ${to} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body ?? ""}`;
}

/**
 * Writes so many requests as the edge sends them to a node, each under a fresh grant that is good once, byte for byte as workerd has
 * been seen to write them. They go to the targets in turn.
 */
export async function writeGranted(
  file: string,
  maker: GrantMaker,
  {
    method,
    urls,
    count,
  }: { readonly method: Method; readonly urls: readonly string[]; readonly count: number },
): Promise<void> {
  const { edge, nodeId, clientId, clientKey, key } = maker;
  const section = sectionToWire(encodeSection(FIELDS))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  const isPost = method === "POST";
  const digest = `sha-256=:${createHash("sha256").update(BODY).digest("base64")}:`;
  const requests: string[] = [];
  for (let made = 0; made < count; made++) {
    const now = Math.floor(Date.now() / 1_000);
    const grant = await signGrant(
      {
        iss: edge,
        aud: nodeId,
        sub: clientId,
        key: clientKey,
        act: "fetch",
        iat: now,
        exp: now + GRANT_MAX_SECONDS,
        jti: newRequestId(),
        tat: now,
        htm: method,
        url: urls[made % urls.length]!,
        framing: isPost ? BODY.length : "none",
        ...(isPost && { digest, tail: TAIL_BYTES }),
        pass: newPass(),
        attempt: 0,
        limits: { rate: 1_000_000, concurrent: 1_000_000, streams: 1_000 },
      },
      key,
    );
    const body = isPost ? BODY + "\0".repeat(TAIL_BYTES) : "";
    requests.push(
      `POST /fetch HTTP/1.1\r\nContent-Length: ${body.length}\r\nHost: localhost\r\n` +
        `relay-authorization: Bearer ${grant}\r\nrelay-envelope: 1\r\n${section}\r\n${body}`,
    );
  }
  writeFileSync(file, packed(requests));
}
