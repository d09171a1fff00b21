import type { JWK } from "jose";
import { adminCall } from "../../client/admin.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { newRequestId, TOKEN_TYPES } from "../../protocol/tokens.ts";
import { compact, ed25519, es256, privateKeyOf, type Signer } from "./compact-jws.ts";
import { type FakePool, startFakePool } from "./fake-pool.ts";
import { type OidcServer, startOidcServer } from "./oidc-issuer.ts";
import { type RawAnswer, rawRequest, sendRaw } from "./raw-http.ts";

/** A workload's fresh key. */
export interface WorkloadKey {
  readonly alg: "Ed25519" | "ES256";
  readonly publicJwk: JWK;
  readonly signer: Signer;
}

/** An edge, nodes of the test's, and issuers that clients may trust. */
export interface KeylessStack {
  readonly pool: FakePool;
  readonly issuers: OidcServer;
  /** Registers a client, or changes it; an isolate sees the change within 10 s. */
  register(id: string, record: object, ifMatch?: string): Promise<void>;
  /** `POST /token`, as it should be but for what is changed. */
  exchange(changes: ExchangeChanges): Promise<RawAnswer | undefined>;
  /** The certificate that such an exchange gives. */
  certify(changes: ExchangeChanges): Promise<string>;
  /** A request by a raw caller, to `/fetch` unless it says another path. */
  ask(fields: readonly string[], line?: string, body?: string): Promise<RawAnswer | undefined>;
  /** A request token under a certificate. */
  request(key: WorkloadKey, client: string, changes?: TokenParts): string;
  stop(): Promise<void>;
}

/** What a token is made of, where it is changed. */
export interface TokenParts {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly signer?: Signer;
}

export interface ExchangeChanges {
  readonly client: string;
  readonly token: string;
  readonly key: WorkloadKey;
  readonly form?: Readonly<Record<string, string | undefined>>;
  readonly proof?: TokenParts;
  /** The field lines besides Host, in place of the usual ones. */
  readonly fields?: readonly string[];
  /** Field lines besides those. */
  readonly more?: readonly string[];
  /** The body, in place of the form. */
  readonly body?: string;
}

export const TARGET = "https://api.bank.com/v1/accounts";

/** @param edgeVars besides those that an edge needs; by default whatever fails is charged to nobody */
export async function startKeyless(
  edgeVars: Readonly<Record<string, unknown>> = { CLIENT_ADDRESS_HEADER: "x-test-address" },
): Promise<KeylessStack> {
  const pool = await startFakePool(1, [TARGET], edgeVars);
  const issuers = await startOidcServer();
  const host = pool.edge.slice("http://".length);
  const port = Number(new URL(pool.edge).port);
  const send = (line: string, fields: readonly string[], body = "") =>
    sendRaw({ port }, rawRequest(line, [`Host: ${host}`, "Connection: close", ...fields], body));
  const stack: KeylessStack = {
    pool,
    issuers,
    async register(id, record, ifMatch) {
      const body = { id, keys: [], allow: [TARGET], ...record };
      await adminCall(pool.operator, "PUT", `/admin/clients/${id}`, { body, ifMatch });
    },
    exchange(changes) {
      const body = changes.body ?? formOf(changes);
      const fields = changes.fields ?? [`DPoP: ${proofOf(changes.key, pool.edge, changes.proof)}`];
      const type = "Content-Type: application/x-www-form-urlencoded";
      const lines = [type, `Content-Length: ${body.length}`, ...fields, ...(changes.more ?? [])];
      return send("POST /token", lines, body);
    },
    async certify(changes) {
      const answer = await stack.exchange(changes);
      if (answer?.status !== 200) throw new Error(`no certificate: ${answer?.body}`);
      return (JSON.parse(answer.body) as { access_token: string }).access_token;
    },
    ask: (fields, line = "GET /fetch", body = "") => send(line, fields, body),
    request: (key, client, { claims, header, signer } = {}) =>
      compact(
        { alg: key.alg, typ: TOKEN_TYPES.request, ...header },
        {
          iss: client,
          aud: pool.edge,
          act: "fetch",
          iat: seconds(),
          exp: seconds() + 60,
          jti: newRequestId(),
          htm: "GET",
          url: TARGET,
          framing: "none",
          ...claims,
        },
        signer ?? key.signer,
      ),
    async stop() {
      await Promise.all([pool.stop(), issuers.shut()]);
    },
  };
  return stack;
}

/** A fresh key of a workload's. */
export async function newWorkloadKey(alg: WorkloadKey["alg"] = "Ed25519"): Promise<WorkloadKey> {
  const pair = await generateClientKey(alg);
  const { alg: _alg, ...publicJwk } = pair.publicJwk;
  const key = privateKeyOf(pair);
  return { alg, publicJwk, signer: alg === "Ed25519" ? ed25519(key) : es256(key) };
}

/** A proof of possession for `POST /token`. */
export function proofOf(key: WorkloadKey, edge: string, { claims, header, signer }: TokenParts = {}): string {
  return compact(
    { alg: key.alg, typ: "dpop+jwt", jwk: key.publicJwk, ...header },
    { htm: "POST", htu: `${edge}/token`, iat: seconds(), jti: newRequestId(), ...claims },
    signer ?? key.signer,
  );
}

/** The body of an exchange. */
export function formOf({ client, token, form }: Pick<ExchangeChanges, "client" | "token" | "form">): string {
  const members: Readonly<Record<string, string | undefined>> = {
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: token,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    client_id: client,
    ...form,
  };
  return new URLSearchParams(
    Object.entries(members).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ).toString();
}

/** Seconds since 1970. */
export function seconds(): number {
  return Math.floor(Date.now() / 1_000);
}
