/** What is known of one platform's tokens: whose issuer it is, and what in a token says who its owner is. */
export interface Platform {
  readonly name: string;
  /** The one issuer of all its tenants, where there is one: the name alone stands for it in a record. */
  readonly issuer?: string;
  /** Hosts of its issuers. */
  readonly host: RegExp;
  /** What an issuer's path may be. */
  readonly path: RegExp;
  /** How its issuers are written, for whoever wrote another one. */
  readonly form: string;
  /** Claims that no other tenant's token can have alike. A rule needs one of them. */
  readonly owners: readonly string[];
  /** Those that do so in a token of a tenant's own issuer alone. */
  readonly ownersInTenant?: readonly string[];
  /** How a claim's value begins: an owner's whole name, however short a prefix is. */
  readonly shapes: Readonly<Record<string, Shape>>;
}

interface Shape {
  readonly begins: RegExp;
  /** For whoever wrote another one. */
  readonly form: string;
}

/**
 * The platforms whose tokens have presets. Their documents: docs.github.com/actions/reference/security/oidc,
 * fly.io/docs/security/openid-connect, vercel.com/docs/oidc/reference, docs.cloud.google.com/docs/authentication/get-id-token,
 * docs.aws.amazon.com/IAM (outbound identity federation).
 */
export const PLATFORMS: readonly Platform[] = [
  {
    name: "github",
    issuer: "https://token.actions.githubusercontent.com",
    host: /^token\.actions\.githubusercontent\.com$/,
    path: /^(\/[\w.-]+)?$/,
    form: '"github", or an enterprise\'s own https://token.actions.githubusercontent.com/<enterprise>',
    // A reusable workflow's own reference (job_workflow_ref) is not among them: any repository may call it.
    owners: ["repository", "repository_id", "repository_owner", "repository_owner_id", "sub"],
    shapes: {
      repository: { begins: /^[\w.-]+\//, form: "<owner>/<repository>" },
      // Since 15 July 2026 new, renamed and moved repositories have the numbers in it; others as they chose.
      sub: {
        begins:
          /^(repo:[\w.-]+(@\d+)?\/|(repository|repository_id|repository_owner|repository_owner_id):[^:]+(:|$))/,
        form: "repo:<owner>/<repository>:… or repo:<owner>@<id>/<repository>@<id>:…",
      },
    },
  },
  {
    name: "fly",
    host: /^oidc\.fly\.io$/,
    path: /^\/[\w-]+$/,
    form: "https://oidc.fly.io/<organisation>",
    owners: ["sub", "app_id", "app_name", "org_id", "org_name"],
    shapes: { sub: { begins: /^[\w-]+:/, form: "<organisation>:<app>:<machine>" } },
  },
  {
    name: "vercel",
    host: /^oidc\.vercel\.com$/,
    path: /^(\/[\w-]+)?$/,
    form: "https://oidc.vercel.com/<team>, or https://oidc.vercel.com in the global mode",
    owners: ["sub", "owner", "owner_id", "project_id"],
    ownersInTenant: ["project"],
    shapes: {
      sub: { begins: /^owner:[\w-]+:/, form: "owner:<team>:project:<project>:environment:<environment>" },
    },
  },
  {
    name: "google",
    issuer: "https://accounts.google.com",
    host: /^accounts\.google\.com$/,
    path: /^$/,
    form: '"google"',
    owners: ["sub", "email"],
    shapes: {
      sub: { begins: /^\d+$/, form: "the number of a service account" },
      email: { begins: /^[^@\s]+@[^@\s]+$/, form: "<account>@<project>.iam.gserviceaccount.com" },
    },
  },
  {
    name: "aws",
    host: /^[\w-]+\.tokens\.sts\.global\.api\.aws$/,
    path: /^$/,
    form: "https://<id>.tokens.sts.global.api.aws, which the account shows",
    owners: ["sub"],
    shapes: {
      sub: { begins: /^arn:aws[\w-]*:(iam|sts)::\d{12}:/, form: "arn:aws:iam::<account>:role/<role>" },
    },
  },
];

/** The platform whose issuer a URL is, by its host. */
export function platformOf(issuer: URL): Platform | undefined {
  return PLATFORMS.find(({ host }) => host.test(issuer.hostname));
}

/**
 * Audiences that platforms put into tokens for other services, or where nobody asked for one: a service that is shown such a
 * token could show it to this edge.
 */
const COMMON_AUDIENCES: readonly { readonly whose: string; readonly is: RegExp }[] = [
  { whose: "Vercel's default", is: /^https:\/\/vercel\.com(\/|$)/ },
  { whose: "GitHub's default", is: /^https:\/\/github\.com(\/|$)/ },
  { whose: "Fly's default", is: /^https:\/\/fly\.io(\/|$)/ },
  { whose: "what AWS takes", is: /^(https:\/\/)?sts(\.[\w-]+)?\.amazonaws\.com(\/|$)/ },
  { whose: "what Google Cloud takes", is: /^(https:)?\/\/iam\.googleapis\.com\// },
  { whose: "what Azure takes", is: /^api:\/\/AzureADTokenExchange/ },
  { whose: "Kubernetes' default", is: /^https:\/\/kubernetes\.default\.svc/ },
  { whose: "GitLab's default", is: /^https:\/\/gitlab\.com(\/|$)/ },
  { whose: "what Sigstore takes", is: /^sigstore$/ },
];

/** Whose usual audience this is, in a few words; undefined where it is nobody's. */
export function commonAudience(audience: string): string | undefined {
  return COMMON_AUDIENCES.find(({ is }) => is.test(audience))?.whose;
}
