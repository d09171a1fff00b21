import type { JWK } from "jose";
import type { ScopeClaims } from "../protocol/claims.ts";
import { RelayError } from "../protocol/errors.ts";
import { deriveGrantKey, type GrantKey, importGrantKey } from "../protocol/grants.ts";
import { type BoundKey, importPrivateKey, importPublicKey } from "../protocol/keys.ts";
import type { Ceiling } from "./ceilings.ts";
import { withLiveKeys } from "./client-keys.ts";
import { type Client, loadClient } from "./clients.ts";
import { type EdgeConfig, type EdgeNode, parseEdgeConfig } from "./config.ts";
import type { Deliveries } from "./deliveries/deliveries-object.ts";
import { Uploads } from "./deliveries/uploads.ts";
import { FailedTokens } from "./failed-tokens.ts";
import type { Health } from "./health-object.ts";
import { Pool } from "./pool.ts";
import type { HandleRecord } from "./handles.ts";
import { RouteRates } from "./hooks/route-rates.ts";
import type { Route } from "./hooks/route.ts";
import { RouteMemory } from "./hooks/route-memory.ts";
import { CertificateMemory } from "./keyless/certificates.ts";
import { IssuerKeys } from "./keyless/issuer-keys.ts";
import { HEALTH_LOOK_MS } from "./limits.ts";
import { ObservedTargets } from "./observations.ts";
import { ProvenTokens } from "./proven-tokens.ts";
import { RegistryCache } from "./registry/cache.ts";
import type { Registry } from "./registry/registry.ts";
import { Sealing } from "./sealing.ts";

/** The worker's bindings; the text ones are read by `parseEdgeConfig` alone. */
export interface Env {
  readonly REGISTRY: DurableObjectNamespace<Registry>;
  readonly HEALTH: DurableObjectNamespace<Health>;
  readonly DELIVERIES: DurableObjectNamespace<Deliveries>;
  /** Requests of one client, by its id. Both ceilings are the platform's; a workerd of one's own has none. */
  readonly CLIENT_CEILING?: Ceiling;
  /** Tokens that failed, by the address that they came from. */
  readonly STRANGER_CEILING?: Ceiling;
}

/** What an isolate keeps between requests: configuration, imported keys, clients seen lately. */
export class Edge {
  readonly config: EdgeConfig;
  /** The nodes' health. */
  readonly pool = new Pool();
  readonly failedTokens = new FailedTokens();
  readonly observed = new ObservedTargets();
  readonly uploads = new Uploads();
  /** Since when a request is on its way to tell of them, in milliseconds since 1970. */
  tellingSince = -Infinity;
  /** When this isolate last looked whether stores of deliveries have lost their alarms, in milliseconds since 1970. */
  rearmedAt = -Infinity;
  readonly issuerKeys = new IssuerKeys();
  readonly certificates = new CertificateMemory();
  readonly provenTokens = new ProvenTokens();
  readonly routeRates = new RouteRates();
  readonly #grantKeys = new Map<string, GrantKey>();
  #signingKey: BoundKey | undefined;
  #verifyingKey: BoundKey | undefined;
  #sealing: Sealing | undefined;
  readonly #operatorKeys = new Map<string, BoundKey>();
  #nodeKeys: ReadonlyMap<string, BoundKey> | undefined;
  readonly #clients = new RegistryCache<Client>();
  readonly #handles = new RegistryCache<HandleRecord>();
  readonly #revokedTokens = new RegistryCache<true>();
  readonly #routes = new RouteMemory();

  constructor(config: EdgeConfig) {
    this.config = config;
  }

  /** The key that signs grants for a node, derived once an isolate. */
  async grantKey(node: EdgeNode): Promise<GrantKey> {
    const known = this.#grantKeys.get(node.id);
    if (known !== undefined) return known;
    const key = await importGrantKey(await deriveGrantKey(this.config.grantMasterKey, node.id));
    this.#grantKeys.set(node.id, key);
    return key;
  }

  /**
   * The key that signs what others verify.
   * @throws RelayError `edge_misconfigured`
   */
  async signingKey(): Promise<BoundKey> {
    try {
      return (this.#signingKey ??= await importPrivateKey(this.config.signingKey.d!));
    } catch {
      // The cause is left out: it speaks of another variable.
      throw new RelayError("edge_misconfigured", "EDGE_SIGNING_KEY can't be imported");
    }
  }

  /**
   * The public half of it: what proves the edge's own certificates.
   * @throws RelayError `edge_misconfigured`
   */
  async verifyingKey(): Promise<BoundKey> {
    try {
      const { kty, crv, x } = this.config.signingKey;
      return (this.#verifyingKey ??= await importPublicKey({ kty, crv, x } as JWK));
    } catch {
      throw new RelayError("edge_misconfigured", "EDGE_SIGNING_KEY can't be imported");
    }
  }

  /** What seals at rest. */
  async sealing(): Promise<Sealing> {
    return (this.#sealing ??= await Sealing.with(this.config.storageKeys));
  }

  /** An operator's public key by its id. */
  async operatorKey(kid: string): Promise<BoundKey | undefined> {
    const known = this.#operatorKeys.get(kid);
    if (known !== undefined) return known;
    const jwk = this.config.operatorKeys.get(kid);
    if (jwk === undefined) return undefined;
    const key = await importPublicKey(jwk);
    this.#operatorKeys.set(kid, key);
    return key;
  }

  /**
   * The keys that nodes sign with, by the nodes' ids.
   * @throws RelayError `edge_misconfigured`
   */
  async nodeKeys(): Promise<ReadonlyMap<string, BoundKey>> {
    if (this.#nodeKeys !== undefined) return this.#nodeKeys;
    const imported = this.config.nodes.map(async ({ id, key }) => {
      try {
        return [id, await importPublicKey(key)] as const;
      } catch (cause) {
        throw new RelayError("edge_misconfigured", `the key of ${id} in NODES can't be imported`, { cause });
      }
    });
    return (this.#nodeKeys = new Map(await Promise.all(imported)));
  }

  /**
   * A client by its id, from the registry or from this isolate's memory of at most 10 s, with the keys that are good at this
   * moment.
   * @throws RelayError `client_unknown`, `registry_unavailable`
   */
  async client(id: string, env: Env, nowMs: number): Promise<Client> {
    let client = this.#clients.get(id, nowMs);
    if (client === undefined) {
      const stored = await registryCall(() => registryOf(env).client(id));
      client = stored === null ? null : await readable(id, () => loadClient(stored.record, stored.used));
      this.#clients.set(id, client, nowMs);
    }
    if (client === null) throw new RelayError("client_unknown", `no client ${id} is registered`);
    return withLiveKeys(client, nowMs);
  }

  /** Whether this isolate has met the client: looking it up again costs one call in 10 s, whoever names it. */
  knows(id: string): boolean {
    return this.#clients.has(id);
  }

  /**
   * What a handle stands for, by its hash, remembered like clients.
   * @throws RelayError `handle_unknown`, `registry_unavailable`
   */
  async handle(hash: string, env: Env, nowMs: number): Promise<HandleRecord> {
    let record = this.#handles.get(hash, nowMs);
    if (record === undefined) {
      record = await registryCall(() => registryOf(env).handle(hash));
      this.#handles.set(hash, record, nowMs);
    }
    if (record === null) throw new RelayError("handle_unknown", "no such handle is stored");
    return record;
  }

  /** Whether this isolate has met the handle. */
  knowsHandle(hash: string): boolean {
    return this.#handles.has(hash);
  }

  /**
   * Refuses a scope token that was revoked. The look-up is remembered like clients.
   * @throws RelayError `token_revoked`, `registry_unavailable`
   */
  async refuseRevoked({ iss, jti }: ScopeClaims, env: Env, nowMs: number): Promise<void> {
    const id = `${iss} ${jti}`;
    let isRevoked = this.#revokedTokens.get(id, nowMs);
    if (isRevoked === undefined) {
      isRevoked = (await registryCall(() => registryOf(env).isTokenRevoked(iss, jti))) ? true : null;
      this.#revokedTokens.set(id, isRevoked, nowMs);
    }
    if (isRevoked !== null) throw new RelayError("token_revoked", "an operator revoked this token");
  }

  /**
   * A route by its id, remembered like clients. Its secrets are opened once for each change of its record.
   * @throws RelayError `route_unknown`, `route_unreadable`, `registry_unavailable`
   */
  route(id: string, env: Env, nowMs: number): Promise<Route> {
    const ask = async () => (await registryCall(() => registryOf(env).route(id)))?.record ?? null;
    return this.#routes.get(id, nowMs, ask, () => this.sealing());
  }

  /** Whether this isolate has met the route. */
  knowsRoute(id: string): boolean {
    return this.#routes.has(id);
  }

  /**
   * Sees to it that the nodes' health is known: what all isolates share is asked for in the background. An isolate's first
   * requests wait for it a moment, and so do those after a pause before which a node was down. Without an answer the isolate
   * goes by what it sees itself.
   *
   * @param waitUntil keeps the runtime from ending what outlives the request
   */
  async refreshHealth(env: Env, waitUntil: (work: Promise<unknown>) => void): Promise<void> {
    const { pool } = this;
    if (pool.shouldRefresh(Date.now())) {
      const exchange = async () => {
        const stub = env.HEALTH.get(env.HEALTH.idFromName("health"));
        pool.learn(await stub.exchange(pool.complaints()), Date.now());
      };
      waitUntil(
        exchange().catch((error: unknown) => console.error("the shared health did not answer", error)),
      );
    }
    // What another request began can't be waited for, so its result is looked for.
    while (pool.awaitsNews(Date.now())) await new Promise((done) => setTimeout(done, HEALTH_LOOK_MS));
  }

  /** The public half of the edge's signing key, as a JWK set. */
  jwks(): { keys: JWK[] } {
    const { kty, crv, x, kid } = this.config.signingKey;
    return { keys: [{ kty, crv, x, use: "sig", alg: "Ed25519", ...(kid !== undefined && { kid }) } as JWK] };
  }
}

let current: { readonly env: unknown; readonly edge: Edge } | undefined;

/**
 * The isolate's state, made with its first request.
 * @throws RelayError `edge_misconfigured`
 */
export function edgeOf(env: Env): Edge {
  if (current?.env !== env) {
    current = { env, edge: new Edge(parseEdgeConfig(env as unknown as Record<string, unknown>)) };
  }
  return current.edge;
}

/** The one registry object. */
export function registryOf(env: Env): DurableObjectStub<Registry> {
  return env.REGISTRY.get(env.REGISTRY.idFromName("registry"));
}

/** A record that this version can't read refuses its client, and is the edge's fault, not the caller's. */
async function readable(id: string, load: () => Promise<Client>): Promise<Client> {
  try {
    return await load();
  } catch (cause) {
    throw new RelayError("edge_internal", `the record of ${id} can't be read`, { cause, reached: "no" });
  }
}

/** A registry that can't be asked admits nobody. */
export async function registryCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new RelayError("registry_unavailable", "the registry did not answer", { cause });
  }
}
