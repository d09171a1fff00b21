import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { abortable } from "../../protocol/abort.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import type { GrantVerifier } from "../../protocol/grants.ts";
import { isProxyTarget } from "../../protocol/proxy-grants.ts";
import { senderOf } from "../../protocol/senders.ts";
import type { NodeConfig } from "../config.ts";
import type { EdgeClient } from "../edge-client.ts";
import type { Revocable } from "../revocations/revoked.ts";
import type { Revocations } from "../revocations/revocations.ts";
import {
  PROXY_CREDENTIAL_QUESTIONS_MAX,
  PROXY_GRANTS_MAX,
  PROXY_KNOWN_MAX,
  PROXY_KNOWN_MS,
  PROXY_QUESTIONS_MAX,
  PROXY_REFUSED_MAX,
  PROXY_REFUSED_MS,
  PROXY_STRANGER_QUESTIONS_MAX,
} from "./limits.ts";
import type { ProxyAdmission, ProxyAuthorizer, ProxyUser } from "./authorizer.ts";
import { AuthorizerMetrics } from "./authorizer-metrics.ts";
import { CredentialForms } from "./credentials.ts";
import { EdgeReach } from "./edge-reach.ts";
import { type FoundGrant, GrantCache, grantKey } from "./grant-cache.ts";
import { Lately } from "./lately.ts";
import { type Asked, Questions, type Verdict } from "./questions.ts";
import { StrangerLimits } from "./stranger-limits.ts";

/** What an authorizer is made of. */
export interface EdgeAuthorizerOptions {
  readonly config: Pick<NodeConfig, "id" | "edge">;
  readonly grantKeys: readonly GrantVerifier[];
  readonly client: Pick<EdgeClient, "call">;
  readonly revocations: Revocations;
  readonly registry: Registry;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 *   user ──▶ form ──▶ refused lately? ──▶ granted lately? ──▶ a stranger's due ──▶ question ──▶ edge
 *
 * Asks the edge who may use the proxy, and keeps its grants: as long as the edge can't be asked, what is granted goes on until
 * it expires, and nothing new is let in. A stranger costs the edge no more than the limits say.
 */
export class EdgeAuthorizer implements ProxyAuthorizer {
  readonly #forms: CredentialForms;
  readonly #now: () => number;
  readonly #log: Logger;
  readonly #metrics: AuthorizerMetrics;
  readonly #grants = new GrantCache(PROXY_GRANTS_MAX);
  /** By a credential's id, where it is refused for every target, and by `grantKey`. */
  readonly #refusals = new Lately<RelayError>({ max: PROXY_REFUSED_MAX, ms: PROXY_REFUSED_MS });
  /** Credentials that were granted something, and what it was last. */
  readonly #known = new Lately<Revocable>({ max: PROXY_KNOWN_MAX, ms: PROXY_KNOWN_MS });
  readonly #strangers: StrangerLimits;
  /** The one question of each unknown credential, by its id. */
  readonly #proving = new Map<string, Promise<Verdict>>();
  readonly #questions: Questions;
  readonly #reach = new EdgeReach();

  constructor(options: EdgeAuthorizerOptions) {
    const { config, grantKeys, client, revocations, registry, log, now = Date.now } = options;
    const { edge, id } = config;
    this.#forms = new CredentialForms(edge);
    this.#now = now;
    this.#log = log;
    this.#metrics = new AuthorizerMetrics(registry, () => {
      this.#grants.sweep(now());
      return this.#grants.size;
    });
    this.#strangers = new StrangerLimits(now());
    revocations.onRevoked((revoked) => {
      this.#grants.dropRevoked(revoked);
      this.#known.deleteWhere((grant) => revoked.find(grant) !== undefined);
    });
    this.#questions = new Questions({
      client,
      edge,
      nodeId: id,
      grantKeys,
      revocations,
      max: PROXY_QUESTIONS_MAX,
      maxEach: PROXY_CREDENTIAL_QUESTIONS_MAX,
      now,
      log,
    });
  }

  async authorize(user: ProxyUser, target: string, signal?: AbortSignal): Promise<ProxyAdmission> {
    signal?.throwIfAborted();
    try {
      const credential = this.#unasked(() => this.#forms.check(user, this.#now()));
      const asked: Asked = { credential, user, target };
      for (;;) {
        const admission =
          this.#unasked(() => this.#remembered(asked)) ?? (await this.#granted(asked, signal));
        if (admission !== undefined) return admission;
      }
    } catch (error) {
      // What the caller's signal says is no failure of the user's.
      if (signal?.aborted !== true) this.#tellRefused(error, user);
      throw error;
    }
  }

  remembered(user: ProxyUser, target: string): ProxyAdmission | undefined {
    try {
      const credential = this.#unasked(() => this.#forms.check(user, this.#now()));
      return this.#unasked(() => this.#remembered({ credential, user, target }));
    } catch (error) {
      this.#tellRefused(error, user);
      throw error;
    }
  }

  #tellRefused(error: unknown, { from }: ProxyUser): void {
    if (isRelayError(error)) this.#log.debug({ reason: error.code, from }, "proxy user refused");
  }

  async close(): Promise<void> {
    await this.#questions.close();
  }

  /**
   * What is known without asking, or what has to be asked first although a grant is alive.
   * @throws RelayError of a refusal that is remembered
   */
  #remembered(asked: Asked): ProxyAdmission | undefined {
    const { credential, target } = asked;
    const now = this.#now();
    const refused =
      this.#refusals.get(credential.id, now) ?? this.#refusals.get(grantKey(credential.id, target), now);
    if (refused !== undefined) throw refused;
    const found = this.#grants.find(credential.id, target, now);
    if (found === undefined || this.#mustWait(found, asked, now)) return undefined;
    this.#metrics.unasked("granted");
    return found.admission;
  }

  /** Whether a living grant is to be asked for before it is used. One that is used may be asked for in the background. */
  #mustWait({ standing }: FoundGrant, asked: Asked, now: number): boolean {
    if (standing === "fresh" || standing === "resting") return false;
    // Of a lost edge, nobody waits for whether it is back.
    if (standing === "stale" && !this.#reach.isLost) return true;
    if (this.#reach.mayTry(now)) void this.#ask(asked, now);
    return false;
  }

  /**
   * Asks, and waits for the answer. Undefined: somebody else's question told something, so that it has to be looked again.
   * @throws RelayError
   */
  async #granted(asked: Asked, signal: AbortSignal | undefined): Promise<ProxyAdmission | undefined> {
    const { credential, target } = asked;
    const now = this.#now();
    // Whoever has a grant that is alive is asked about as often as it takes.
    if (this.#grants.find(credential.id, target, now) !== undefined) {
      const verdict = await abortable(this.#ask(asked, now), signal);
      const living = this.#grants.find(credential.id, target, this.#now());
      if (verdict.kind !== "unjudged" || living === undefined) return admissionOf(verdict);
      this.#metrics.unasked("granted");
      return living.admission;
    }
    const current = this.#questions.find(asked);
    if (current !== undefined) return admissionOf(await abortable(current, signal));
    const proving = this.#proving.get(credential.id);
    if (proving === undefined) {
      const question = this.#unasked(() => this.#firstQuestion(asked, now));
      return admissionOf(await abortable(question, signal));
    }
    // Where its credential is not proven yet, another target's question comes first.
    const verdict = await abortable(proving, signal);
    if (verdict.kind === "unjudged") throw verdict.error;
    return undefined;
  }

  /** @throws RelayError `rate_limited`, `url_invalid` */
  #firstQuestion(asked: Asked, now: number): Promise<Verdict> {
    const { credential, user, target } = asked;
    const { id } = credential;
    if (!isProxyTarget(target)) {
      throw new RelayError("url_invalid", "the target is not in its canonical form");
    }
    if (this.#known.get(id, now) !== undefined) {
      this.#strangers.assertPatience(id, now);
      return this.#ask(asked, now);
    }
    if (this.#proving.size >= PROXY_STRANGER_QUESTIONS_MAX) {
      const options = { retryAfter: 1 };
      throw new RelayError("rate_limited", "too many unknown credentials are being asked about", options);
    }
    const sender = senderOf(user.from);
    this.#strangers.pay(sender, now);
    const question = this.#ask(asked, now).then((verdict) => {
      this.#proving.delete(id);
      if (verdict.kind === "granted") this.#strangers.giveBack(sender, this.#now());
      return verdict;
    });
    this.#proving.set(id, question);
    return question;
  }

  #ask(asked: Asked, askedAt: number): Promise<Verdict> {
    return this.#questions.ask(asked, askedAt, (verdict) => this.#note(verdict, asked, askedAt));
  }

  /** Counts what is refused without a question. */
  #unasked<T>(judge: () => T): T {
    try {
      return judge();
    } catch (error) {
      if (isRelayError(error)) this.#metrics.unasked(error.code);
      throw error;
    }
  }

  /** Keeps what a question told. */
  #note(verdict: Verdict, { credential, target }: Asked, askedAt: number): void {
    const { id } = credential;
    const now = this.#now();
    this.#metrics.asked(verdict.kind === "granted" ? "granted" : verdict.error.code);
    this.#noteReach(verdict, now);
    if (verdict.kind === "granted") {
      this.#grants.put(id, verdict.admission, askedAt);
      this.#known.set(id, verdict.admission.grant, now);
    } else if (verdict.kind === "unjudged") {
      this.#grants.vain(id, target, now);
      // What the edge puts off is asked in vain as well, as often as its user likes.
      if (verdict.error.code === "rate_limited") this.#chargeKnown(id, now);
    } else if (verdict.of === "credential") {
      this.#grants.dropAll(id);
      this.#known.delete(id);
      this.#refusals.set(id, verdict.error, now);
    } else {
      this.#grants.drop(id, target);
      this.#refusals.set(grantKey(id, target), verdict.error, now);
      this.#chargeKnown(id, now);
    }
  }

  #chargeKnown(id: string, now: number): void {
    if (this.#known.get(id, now) !== undefined) this.#strangers.refused(id, now);
  }

  #noteReach(verdict: Verdict, now: number): void {
    if (verdict.kind === "unjudged" && verdict.cause === "closed") return;
    if (verdict.kind === "unjudged" && !verdict.isEdgeThere) {
      if (!this.#reach.lost(now)) return;
      this.#log.warn({ cause: verdict.cause }, "edge not reached");
    } else if (this.#reach.found()) this.#log.info("edge reached again");
  }
}

/** @throws RelayError of one that granted nothing */
function admissionOf(verdict: Verdict): ProxyAdmission {
  if (verdict.kind === "granted") return verdict.admission;
  throw verdict.error;
}
