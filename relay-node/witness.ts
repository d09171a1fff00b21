import { readFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { isRelayError } from "../protocol/errors.ts";
import type { NodeConfig } from "./config.ts";
import { isSameIp, parseIp } from "./ip-address.ts";
import { WITNESS_ANSWER_MAX_BYTES, WITNESS_DEADLINE_MS } from "./limits.ts";
import type { Report } from "./proof.ts";
import type { Resolver } from "./resolver.ts";

/** Somebody who tells from which address they see this node. */
export interface Witness {
  /** `edge`, a peer's id, or the host of a configured one: its path may hold a secret. */
  readonly name: string;
  /** Answers GET with `{"address": "…"}`. */
  readonly url: URL;
}

/** Whom a node may ask: the edge, its peers on other hosts, and those that are configured besides. */
export function witnessesOf({ edge, peers, witnesses, egress }: NodeConfig): readonly Witness[] {
  const own = [egress.ipv4, egress.ipv6].flatMap((pair) => pair?.public ?? []).map((text) => parseIp(text)!);
  // A peer on the same host sees what never left it.
  const isHere = (address: string) => own.some((one) => isSameIp(one, parseIp(address)!));
  return [
    { name: "edge", url: new URL("/whoami", edge) },
    ...peers
      .filter(({ addresses }) => !addresses.some((address) => isHere(address)))
      .map(({ id, url }) => ({ name: id, url: new URL("/whoami", url) })),
    ...witnesses.map((text) => ({ name: new URL(text).host, url: new URL(text) })),
  ];
}

/** Asks one witness by one family; never rejects. */
export type AskWitness = (witness: Witness, from: { family: 4 | 6; bind: string }) => Promise<Report>;

/** The system's or the resolver's code says why, and quotes nothing. */
class Silence extends Error {}

/**
 * Asks over the node's own way out: bound to the address that requests to targets are bound to, by that family alone, names
 * looked up as those of targets are, and each time over a new connection, since an old one tells of its own beginning.
 * Redirects are not followed.
 *
 * @param relayCa PEM file of authorities that are trusted besides the public ones
 */
export function createAskWitness(resolver: Resolver, relayCa: string | undefined): AskWitness {
  // Parsing the roots takes longer than a handshake.
  const secureContext = createSecureContext({
    minVersion: "TLSv1.2",
    ca: [...getCACertificates("default"), ...(relayCa === undefined ? [] : [readFileSync(relayCa, "utf8")])],
  });
  return async ({ name, url }, { family, bind }) => {
    const signal = AbortSignal.timeout(WITNESS_DEADLINE_MS);
    try {
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const { addresses } = await resolver.resolve(host, signal);
      const candidates = addresses.filter((one) => one.family === family);
      // Any of them: a dead one must not be asked each time.
      const chosen = candidates[Math.floor(Math.random() * candidates.length)];
      if (chosen === undefined) throw new Silence(`no IPv${family} address`);
      const answer = await get(url, chosen.address, { family, localAddress: bind, signal, secureContext });
      return { witness: name, saw: await readAddress(answer) };
    } catch (error) {
      return {
        witness: name,
        silent: signal.aborted ? `no answer within ${WITNESS_DEADLINE_MS / 1_000} s` : codeOf(error),
      };
    }
  };
}

interface Way {
  readonly family: 4 | 6;
  readonly localAddress: string;
  readonly signal: AbortSignal;
  readonly secureContext: SecureContext;
}

function get(url: URL, address: string, way: Way): Promise<IncomingMessage> {
  const { request } = url.protocol === "https:" ? https : http;
  const isName = parseIp(url.hostname.replace(/^\[(.*)\]$/, "$1")) === undefined;
  const options = {
    ...way,
    host: address,
    port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port,
    path: `${url.pathname}${url.search}`,
    headers: { Host: url.host, Accept: "application/json", Connection: "close" },
    agent: false as const,
    rejectUnauthorized: true,
    maxHeaderSize: WITNESS_ANSWER_MAX_BYTES,
    // The certificate must be good for the name that is configured, not for the literal that is dialled.
    ...(isName && { servername: url.hostname }),
  };
  return new Promise((resolve, reject) => request(options, resolve).once("error", reject).end());
}

async function readAddress(answer: IncomingMessage): Promise<string> {
  try {
    if (answer.statusCode !== 200) throw new Silence(`answered ${answer.statusCode}`);
    let text = "";
    for await (const chunk of answer.setEncoding("utf8") as AsyncIterable<string>) {
      text += chunk;
      if (text.length > WITNESS_ANSWER_MAX_BYTES) throw new Silence("answered at too great length");
    }
    const told = addressIn(text);
    if (told === undefined) throw new Silence("answered no address");
    return told;
  } finally {
    answer.destroy();
  }
}

function addressIn(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { address } = (value ?? {}) as { readonly address?: unknown };
  if (typeof address !== "string") return undefined;
  // An IPv4 caller of a listener for both families shows as a mapped address.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  return parseIp(plain) === undefined ? undefined : plain;
}

function codeOf(error: unknown): string {
  if (error instanceof Silence) return error.message;
  if (isRelayError(error)) return error.code;
  return (error as NodeJS.ErrnoException).code ?? "failed";
}
