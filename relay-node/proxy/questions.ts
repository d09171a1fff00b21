import type { Logger } from "pino";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { GrantVerifier } from "../../protocol/grants.ts";
import { type ProxyQuestion, rulesOf, verifyProxyGrant } from "../../protocol/proxy-grants.ts";
import type { EdgeClient } from "../edge-client.ts";
import { causeOf } from "../peer-client.ts";
import type { Revocations } from "../revocations/revocations.ts";
import type { ProxyAdmission, ProxyUser } from "./authorizer.ts";
import type { Credential } from "./credentials.ts";
import { type EdgeWord, type Unjudged, unanswered, wordOf } from "./edge-answer.ts";
import { grantKey } from "./grant-cache.ts";
import { PROXY_ANSWER_MAX_BYTES } from "./limits.ts";

const CALL = { act: "authorize", path: "/authorize", maxBytes: PROXY_ANSWER_MAX_BYTES } as const;

/** What is asked about. */
export interface Asked {
  readonly credential: Credential;
  readonly user: ProxyUser;
  readonly target: string;
}

/** What became of a question. */
export type Verdict =
  | { readonly kind: "granted"; readonly admission: ProxyAdmission }
  | Extract<EdgeWord, { kind: "refused" }>
  | Unjudged;

/** What a node proves the edge's grants by. */
export interface QuestionContext {
  readonly client: Pick<EdgeClient, "call">;
  readonly edge: string;
  readonly nodeId: string;
  readonly grantKeys: readonly GrantVerifier[];
  readonly revocations: Revocations;
  /** Questions under way at once, and those of one credential. */
  readonly max: number;
  readonly maxEach: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Questions to the edge that are under way: one at a time for a credential and a target. */
export class Questions {
  readonly #context: QuestionContext;
  readonly #under = new Map<string, Promise<Verdict>>();
  /** How many are under way, by the credentials' ids. */
  readonly #each = new Map<string, number>();
  readonly #closing = new AbortController();

  constructor(context: QuestionContext) {
    this.#context = context;
  }

  /** The one that is under way. */
  find({ credential, target }: Asked): Promise<Verdict> | undefined {
    return this.#under.get(grantKey(credential.id, target));
  }

  /**
   * Asks, or joins who asked already.
   *
   * @param settled hears what became of it, once, before anybody who waits
   * @param askedAt milliseconds since 1970
   * @returns never rejects
   */
  ask(asked: Asked, askedAt: number, settled: (verdict: Verdict) => void): Promise<Verdict> {
    const current = this.find(asked);
    if (current !== undefined) return current;
    if (this.#closing.signal.aborted) return Promise.resolve(unanswered("closed"));
    if (this.#under.size >= this.#context.max) {
      return Promise.resolve({ ...unanswered("too_many_questions"), isEdgeThere: true });
    }
    const { id } = asked.credential;
    const each = this.#each.get(id) ?? 0;
    if (each >= this.#context.maxEach) return Promise.resolve(tooManyOf());
    const key = grantKey(id, asked.target);
    this.#each.set(id, each + 1);
    const question = this.#ask(asked, askedAt).then((verdict) => {
      this.#under.delete(key);
      this.#answered(id);
      settled(verdict);
      return verdict;
    });
    this.#under.set(key, question);
    return question;
  }

  #answered(id: string): void {
    const left = this.#each.get(id)! - 1;
    if (left === 0) this.#each.delete(id);
    else this.#each.set(id, left);
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    await Promise.all(this.#under.values());
  }

  async #ask(asked: Asked, askedAt: number): Promise<Verdict> {
    const { user, target } = asked;
    const question: ProxyQuestion = {
      ...(user.user !== undefined && { user: user.user }),
      credential: user.credential,
      target,
    };
    try {
      const seconds = Math.floor(askedAt / 1_000);
      const call = { ...CALL, body: JSON.stringify(question) };
      const word = wordOf(await this.#context.client.call(call, seconds, this.#closing.signal));
      return word.kind === "granted" ? this.#proven(word.grant, asked) : word;
    } catch (error) {
      return unanswered(this.#closing.signal.aborted ? "closed" : causeOf(error));
    }
  }

  /** A grant that is not this node's, or not for what was asked, lets nobody in. */
  #proven(token: string, { credential, target }: Asked): Verdict {
    const { edge, nodeId, grantKeys, revocations, now, log } = this.#context;
    let cause: string;
    try {
      const context = { edge, nodeId, keys: grantKeys, now: Math.floor(now() / 1_000) };
      const grant = verifyProxyGrant(token, context);
      const rules = rulesOf(grant);
      // The edge that granted it may not have heard yet.
      const revoked = revocations.refusalOf(grant);
      if (revoked !== undefined) return { kind: "refused", error: revoked, of: "credential" };
      if (grant.target !== target) cause = "another_target";
      else if (credential.sub !== undefined && grant.sub !== credential.sub) cause = "another_client";
      else return { kind: "granted", admission: { grant, rules } };
    } catch (error) {
      cause = isRelayError(error) ? error.code : "grant_unreadable";
    }
    log.error({ cause }, "proxy grant not good here");
    return { ...unanswered(cause), isEdgeThere: true };
  }
}

function tooManyOf(): Unjudged {
  const detail = "too many targets of these credentials are being asked about";
  const error = new RelayError("rate_limited", detail, { retryAfter: 1 });
  return { kind: "unjudged", error, cause: "too_many_questions", isEdgeThere: true };
}
