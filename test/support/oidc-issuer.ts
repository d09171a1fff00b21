import { once } from "node:events";
import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { createServer as createHttp, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { compact, ed25519, es256, type Signer } from "./compact-jws.ts";

/** How an issuer signs: the algorithms that platforms use. */
export type IssuerAlg = "RS256" | "ES256" | "ES384" | "Ed25519";

/** Which of its two documents an issuer is asked for. */
export type IssuerDocument = "discovery" | "keys";

/** What is changed of a token that would be taken as it stands. */
export interface TokenChanges {
  /** `undefined` takes a claim away. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly signer?: Signer;
}

/** One issuer: a URL with a key of its own. */
export interface OidcIssuer {
  readonly url: string;
  /** The public key of today, as it is published. */
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly privateKey: KeyObject;
  /** How often each document was asked for. */
  readonly asked: Record<IssuerDocument, number>;
  /** Answers in place of the documents; they come as they should where it is undefined. */
  answer: ((document: IssuerDocument, response: ServerResponse) => void) | undefined;
  /** Keys that are published besides the one of today. */
  others: Readonly<Record<string, unknown>>[];
  /** Signs with a new key from now on, and publishes that alone. */
  rotate(alg?: IssuerAlg): void;
  /** A token with a platform's claims, good for 5 minutes. */
  token(platform: PlatformName, changes?: TokenChanges): string;
}

/** A server of issuers on loopback, each at a path of its own. */
export interface OidcServer {
  readonly origin: string;
  /**
   * @param audience what its tokens say where nothing else is said
   * @example const issuer = server.issuer("/acme", stack.edge);
   */
  issuer(path: string, audience: string, alg?: IssuerAlg): OidcIssuer;
  /** Nobody listens any more, and open connections are reset. */
  shut(): Promise<void>;
  open(): Promise<void>;
}

/** What each platform's tokens hold, besides `iss`, `aud`, `iat`, `exp` and what a test changes. */
export const PLATFORM_CLAIMS = {
  github: {
    sub: "repo:acme/shop:ref:refs/heads/main",
    repository: "acme/shop",
    repository_id: "456789",
    repository_owner: "acme",
    repository_owner_id: "123456",
    ref: "refs/heads/main",
    ref_type: "branch",
    environment: "production",
    event_name: "push",
    actor: "octocat",
    workflow: "deploy",
    workflow_ref: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    job_workflow_ref: "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    runner_environment: "github-hosted",
  },
  /** A repository made since 15 July 2026. */
  "github, numbered": {
    sub: "repo:acme@123456/shop@456789:environment:production",
    repository: "acme/shop",
    repository_id: "456789",
    repository_owner: "acme",
    repository_owner_id: "123456",
    environment: "production",
  },
  fly: {
    sub: "acme:shop:web-1",
    app_id: "3671581",
    app_name: "shop",
    org_id: "29873298",
    org_name: "acme",
    machine_id: "3d8d377ce9e398",
    machine_name: "web-1",
    machine_version: "01HZXXXXXXXXXXXXXXXXXXXXXX",
    image: "registry.fly.io/shop:deployment-01",
    image_digest: "sha256:8a2fc5b0",
    region: "fra",
  },
  vercel: {
    sub: "owner:acme:project:shop:environment:production",
    owner: "acme",
    owner_id: "team_7Gw5ZMzpQA8h90F832KGp7nwbuh3",
    project: "shop",
    project_id: "prj_7Gw5ZMBpQA8h9GF832KGp7nwbuh3",
    environment: "production",
    plan: "pro",
  },
  google: {
    sub: "104029292853099978293",
    azp: "104029292853099978293",
    email: "shop@acme.iam.gserviceaccount.com",
    email_verified: true,
  },
  aws: {
    sub: "arn:aws:iam::123456789012:role/shop",
    "https://sts.amazonaws.com/": {
      aws_account: "123456789012",
      source_region: "eu-central-1",
      org_id: "o-abc1234567",
      principal_tags: { team: "shop" },
    },
  },
  kubernetes: {
    sub: "system:serviceaccount:shop:api",
    "kubernetes.io": { namespace: "shop", serviceaccount: { name: "api" } },
  },
} as const satisfies Record<string, Readonly<Record<string, unknown>>>;

export type PlatformName = keyof typeof PLATFORM_CLAIMS;

/** Kinds of claims whose platforms add an id of the token. */
const WITHOUT_ID: ReadonlySet<PlatformName> = new Set(["google", "fly"]);

/** How long a token lives, in seconds. */
const LIFE_SECONDS = 300;

/**
 * Starts a server of issuers.
 * @param tls serve https with this certificate; plain http without
 */
export async function startOidcServer(tls?: {
  readonly cert: string;
  readonly key: string;
}): Promise<OidcServer> {
  const issuers = new Map<string, OidcIssuer>();
  const listener: RequestListener = (request, response) => {
    const match = /^(.*)\/\.well-known\/(openid-configuration|jwks)$/.exec(request.url ?? "");
    const issuer = issuers.get(match?.[1] ?? "");
    if (match === null || issuer === undefined) {
      response.writeHead(404).end();
      return;
    }
    const document = match[2] === "jwks" ? "keys" : "discovery";
    issuer.asked[document]++;
    if (issuer.answer !== undefined) issuer.answer(document, response);
    else answerAsItShould(issuer, document, response);
  };
  const server = tls === undefined ? createHttp(listener) : createHttps(tls, listener);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("error", () => {}));
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const origin = tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
  return {
    origin,
    issuer(path, audience, alg = "ES256") {
      const issuer = newIssuer(`${origin}${path}`, audience, alg);
      issuers.set(path, issuer);
      return issuer;
    },
    async shut() {
      if (!server.listening) return;
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
      await once(server, "close");
    },
    async open() {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
}

/** The right answer, for tests that change it a little. */
export function answerAsItShould(
  { url, jwk, others }: OidcIssuer,
  document: IssuerDocument,
  response: ServerResponse,
): void {
  const body =
    document === "keys"
      ? { keys: [jwk, ...others] }
      : {
          issuer: url,
          jwks_uri: `${url}/.well-known/jwks`,
          response_types_supported: ["id_token"],
          subject_types_supported: ["public"],
        };
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

function newIssuer(url: string, audience: string, alg: IssuerAlg): OidcIssuer {
  let made = newKey(alg);
  return {
    url,
    get jwk() {
      return made.jwk;
    },
    get privateKey() {
      return made.privateKey;
    },
    asked: { discovery: 0, keys: 0 },
    answer: undefined,
    others: [],
    rotate(next = alg) {
      made = newKey(next);
    },
    token(platform, { claims, header, signer } = {}) {
      const now = Math.floor(Date.now() / 1_000);
      return compact(
        { alg: made.alg, typ: "JWT", kid: made.jwk["kid"], ...header },
        {
          iss: url,
          aud: audience,
          iat: now,
          exp: now + LIFE_SECONDS,
          ...(!WITHOUT_ID.has(platform) && { jti: randomUUID() }),
          ...PLATFORM_CLAIMS[platform],
          ...claims,
        },
        signer ?? made.signer,
      );
    },
  };
}

interface Made {
  readonly alg: IssuerAlg;
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly privateKey: KeyObject;
  readonly signer: Signer;
}

function newKey(alg: IssuerAlg): Made {
  const privateKey = generated(alg);
  const jwk = {
    ...createPublicKey(privateKey).export({ format: "jwk" }),
    kid: randomUUID(),
    use: "sig",
    alg,
  };
  const signers: Readonly<Record<IssuerAlg, Signer>> = {
    RS256: (input) => sign("sha256", Buffer.from(input), privateKey),
    ES256: es256(privateKey),
    ES384: (input) => sign("sha384", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }),
    Ed25519: ed25519(privateKey),
  };
  return { alg, jwk, privateKey, signer: signers[alg] };
}

function generated(alg: IssuerAlg): KeyObject {
  if (alg === "RS256") return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  if (alg === "Ed25519") return generateKeyPairSync("ed25519").privateKey;
  return generateKeyPairSync("ec", { namedCurve: alg === "ES256" ? "P-256" : "P-384" }).privateKey;
}
