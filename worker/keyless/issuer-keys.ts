import type { JWK } from "jose";
import { RelayError } from "../../protocol/errors.ts";
import { keepNewest } from "../keep-newest.ts";
import { ISSUER_DEADLINE_MS, ISSUER_DOCUMENT_MAX_BYTES, ISSUER_LOOK_MS, ISSUERS_MAX } from "../limits.ts";
import { readAtMost } from "../read-at-most.ts";
import {
  discoveryUrl,
  importIssuerKey,
  type IssuerKey,
  readDiscovery,
  readKeys,
} from "./issuer-documents.ts";
import { KeyMemory } from "./key-memory.ts";
import { untrusted } from "./platform-token.ts";

/** The keys of the issuers that clients' records name, as one isolate knows them. No other issuer is ever asked. */
export class IssuerKeys {
  readonly #issuers = new Map<string, KeyMemory>();

  /**
   * An issuer's key by its id.
   *
   * @param issuer one that a client's record trusts
   * @param plain whether an issuer may speak http, as one beside an edge in development may
   * @throws RelayError `platform_token_invalid`, `issuer_unavailable`
   */
  async find(issuer: string, kid: string, plain: boolean): Promise<IssuerKey> {
    const memory = this.#memoryOf(issuer);
    for (;;) {
      const look = memory.look(kid, Date.now());
      switch (look.kind) {
        case "key":
          return imported(memory, look.jwk);
        case "ask":
          await ask(issuer, memory, plain);
          break;
        case "wait":
          // What another request began can't be waited for, so its result is looked for.
          await new Promise((done) => setTimeout(done, ISSUER_LOOK_MS));
          break;
        case "none":
          throw untrusted();
        case "unavailable":
          throw new RelayError("issuer_unavailable", "the platform's keys can't be fetched", {
            retryAfter: Math.ceil(look.retryAfterMs / 1_000),
          });
      }
    }
  }

  #memoryOf(issuer: string): KeyMemory {
    const memory = this.#issuers.get(issuer) ?? new KeyMemory();
    keepNewest(this.#issuers, issuer, memory, ISSUERS_MAX);
    return memory;
  }
}

/** Keys are imported when they are first used: an issuer may publish many. */
async function imported(memory: KeyMemory, jwk: JWK): Promise<IssuerKey> {
  const known = memory.imported.get(jwk);
  if (known !== undefined) return known;
  let key: IssuerKey;
  try {
    key = await importIssuerKey(jwk);
  } catch {
    throw untrusted();
  }
  memory.imported.set(jwk, key);
  return key;
}

async function ask(issuer: string, memory: KeyMemory, plain: boolean): Promise<void> {
  memory.begin(Date.now());
  try {
    const uri = readDiscovery(await fetchJson(discoveryUrl(issuer), plain), issuer);
    memory.learn(readKeys(await fetchJson(uri, plain)), Date.now());
  } catch (error) {
    memory.fail(Date.now());
    // The caller is not told: it may be a stranger, who is not to learn whom a client trusts.
    console.error(`the keys of ${issuer} can't be fetched: ${(error as Error).message}`);
  }
}

/** Reads a JSON document within limits of time and size, from that very URL. */
async function fetchJson(url: string, plain: boolean): Promise<unknown> {
  if (!plain && !url.startsWith("https:")) throw new Error(`${url} is not https`);
  const answer = await fetch(url, {
    headers: { Accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(ISSUER_DEADLINE_MS),
  });
  if (answer.status !== 200) {
    await answer.body?.cancel();
    throw new Error(`${url} answered ${answer.status}`);
  }
  const bytes = await readAtMost(answer.body, ISSUER_DOCUMENT_MAX_BYTES);
  if (bytes === undefined) throw new Error(`${url} answered more than ${ISSUER_DOCUMENT_MAX_BYTES} bytes`);
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    throw new Error(`${url} answered no JSON`);
  }
}
