import type { IncomingMessage } from "node:http";
import { request as httpRequest } from "./node-http.ts";
import https from "node:https";
import type { SecureContext } from "node:tls";
import { isRelayError } from "../protocol/errors.ts";
import { parseIp } from "./ip-address.ts";
import { WITNESS_DEADLINE_MS, WITNESS_HEAD_MAX_BYTES } from "./limits.ts";
import type { Resolver } from "./resolver.ts";

/** One of the node's own ways out. */
export interface Way {
  readonly family: 4 | 6;
  /** The address that requests to targets are bound to. */
  readonly bind: string;
}

/** What an answer holds, or why there is none: a code or a few words that quote nothing. */
export type Got = { readonly text: string } | { readonly silent: string };

/** Reads the JSON at a URL, up to a size; never rejects. */
export type GetText = (url: URL, from: Way, maxBytes: number) => Promise<Got>;

/** The system's or the resolver's code says why, and quotes nothing. */
class Silence extends Error {}

/**
 * Asks over the node's own way out: bound to the address that requests to targets are bound to, by that family alone, names
 * looked up as those of targets are, and each time over a new connection, since an old one tells of its own beginning.
 * Redirects are not followed.
 *
 * @param secureContext of `relayTls`
 */
export function createGetText(resolver: Resolver, secureContext: SecureContext): GetText {
  return async (url, { family, bind }, maxBytes) => {
    const signal = AbortSignal.timeout(WITNESS_DEADLINE_MS);
    try {
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const { addresses } = await resolver.resolve(host, signal);
      const candidates = addresses.filter((one) => one.family === family);
      // Any of them: a dead one must not be asked each time.
      const chosen = candidates[Math.floor(Math.random() * candidates.length)];
      if (chosen === undefined) throw new Silence(`no IPv${family} address`);
      const answer = await get(url, chosen.address, { family, localAddress: bind, signal, secureContext });
      return { text: await readText(answer, maxBytes) };
    } catch (error) {
      return { silent: signal.aborted ? `no answer within ${WITNESS_DEADLINE_MS / 1_000} s` : codeOf(error) };
    }
  };
}

interface Dial {
  readonly family: 4 | 6;
  readonly localAddress: string;
  readonly signal: AbortSignal;
  readonly secureContext: SecureContext;
}

function get(url: URL, address: string, dial: Dial): Promise<IncomingMessage> {
  const request = url.protocol === "https:" ? https.request : httpRequest;
  const isName = parseIp(url.hostname.replace(/^\[(.*)\]$/, "$1")) === undefined;
  const options = {
    ...dial,
    host: address,
    port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port,
    path: `${url.pathname}${url.search}`,
    headers: { Host: url.host, Accept: "application/json", Connection: "close" },
    agent: false as const,
    rejectUnauthorized: true,
    maxHeaderSize: WITNESS_HEAD_MAX_BYTES,
    // The certificate must be good for the name that is configured, not for the literal that is dialled.
    ...(isName && { servername: url.hostname }),
  };
  return new Promise((resolve, reject) => request(options, resolve).once("error", reject).end());
}

async function readText(answer: IncomingMessage, maxBytes: number): Promise<string> {
  try {
    if (answer.statusCode !== 200) throw new Silence(`answered ${answer.statusCode}`);
    let text = "";
    for await (const chunk of answer.setEncoding("utf8") as AsyncIterable<string>) {
      text += chunk;
      if (text.length > maxBytes) throw new Silence("answered at too great length");
    }
    return text;
  } finally {
    answer.destroy();
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Silence) return error.message;
  if (isRelayError(error)) return error.code;
  return (error as NodeJS.ErrnoException).code ?? "failed";
}
