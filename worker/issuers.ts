import { base64url } from "jose";
import * as z from "zod/mini";
import { ISSUER_CLAIMS_MAX, ISSUER_RULES_MAX, ISSUER_TEXT_MAX } from "./limits.ts";
import { isSecure } from "./loopback.ts";
import { commonAudience, type Platform, PLATFORMS, platformOf } from "./platforms.ts";

/** Which workloads of a platform may act as a client, as the registry stores it. */
export interface IssuerRecord {
  /** A platform's name where it has one issuer (`github`, `google`), or an issuer's URL. */
  readonly issuer: string;
  /** What `aud` has to be; the edge's origin where it is left out. */
  readonly audience?: string | undefined;
  /** What claims have to be, by name: the very text, or with a `*` behind its last `/` or `:` what it begins with. */
  readonly claims: Readonly<Record<string, string>>;
}

/** A rule ready for use. */
export interface IssuerRule {
  /** The issuer's URL, as `iss` has it. */
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly claims: readonly ClaimRule[];
}

/** What one claim has to be. */
export interface ClaimRule {
  readonly name: string;
  /** The whole text, or its beginning where `isPrefix`. */
  readonly text: string;
  readonly isPrefix: boolean;
}

type Problem = readonly [path: readonly string[], message: string];

const rule = z
  .strictObject({
    issuer: z.string(),
    audience: z.optional(z.string()),
    claims: z.record(z.string(), z.string()),
  })
  .check((context) => {
    const { value } = context;
    for (const [path, message] of ruleProblems(value)) {
      context.issues.push({ code: "custom", message, input: value, path: [...path] });
    }
  });

/** The member `issuers` of a client's record. */
export const issuersSchema = z
  .array(rule)
  .check(
    z.minLength(1, "must hold at least one issuer"),
    z.maxLength(ISSUER_RULES_MAX, `must hold at most ${ISSUER_RULES_MAX} issuers`),
  );

/**
 * What is wrong with members of a client's record that depend on each other. A client is known by a key or by an issuer, and
 * a platform's token can be taken where one is trusted.
 */
export function keylessProblems(record: unknown): string[] {
  const { keys, issuers, bearer } = (record ?? {}) as Readonly<Record<string, unknown>>;
  const hasIssuers = Array.isArray(issuers) && issuers.length > 0;
  return [
    ...(Array.isArray(keys) && keys.length === 0 && !hasIssuers
      ? ["keys must hold at least one key, or issuers at least one issuer"]
      : []),
    ...(bearer === true && !hasIssuers ? ["bearer needs issuers, whose tokens it lets in"] : []),
  ];
}

/** Makes a stored rule usable. */
export function loadIssuer({ issuer, audience, claims }: IssuerRecord): IssuerRule {
  return {
    issuer: presetOf(issuer)?.issuer ?? issuer,
    audience,
    claims: Object.entries(claims).map(([name, value]) => ({
      name,
      text: textOf(value),
      isPrefix: value.endsWith("*"),
    })),
  };
}

/**
 * What names a rule: the same however it is written, and another one where anything of it is changed.
 * @example await ruleId({ issuer: "github", claims: { repository: "acme/shop" } }) // 43 characters of base64url
 */
export async function ruleId({ issuer, audience, claims }: IssuerRecord): Promise<string> {
  const sorted = Object.entries(claims).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const text = JSON.stringify([presetOf(issuer)?.issuer ?? issuer, audience ?? null, sorted]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url.encode(new Uint8Array(digest));
}

/** The ids of a record's rules, in their order. */
export async function ruleIdsOf({
  issuers = [],
}: {
  readonly issuers?: readonly IssuerRecord[] | undefined;
}): Promise<string[]> {
  return Promise.all(issuers.map((one) => ruleId(one)));
}

/** Everything that is wrong with a rule. */
function ruleProblems({ issuer, audience, claims }: IssuerRecord): Problem[] {
  const problems: Problem[] = [];
  const at = (path: readonly string[], value: string, why: string) =>
    problems.push([path, `${why} (is ${JSON.stringify(value).slice(0, 120)})`]);
  const named = presetOf(issuer);
  const url = URL.parse(named?.issuer ?? issuer);
  const platform = named ?? (url === null ? undefined : platformOf(url));
  const issuerProblem = problemOfIssuer(issuer, url, platform);
  if (issuerProblem !== undefined) at(["issuer"], issuer, issuerProblem);
  const audienceProblem = audience === undefined ? undefined : problemOfAudience(audience);
  if (audienceProblem !== undefined) at(["audience"], audience!, audienceProblem);
  const entries = Object.entries(claims);
  if (entries.length > ISSUER_CLAIMS_MAX) {
    problems.push([["claims"], `must hold at most ${ISSUER_CLAIMS_MAX} claims`]);
  }
  for (const [name, value] of entries) {
    const problem = problemOfClaim(name, value, platform);
    if (problem !== undefined) at(["claims", name], value, problem);
  }
  const owners = url === null || platform === undefined ? undefined : ownersAt(url, platform);
  if (owners === undefined ? entries.length === 0 : !owners.some((name) => Object.hasOwn(claims, name))) {
    const which = owners === undefined ? "a claim" : owners.join(" or ");
    problems.push([["claims"], `must name the owner, by ${which}: the issuer signs for others, too`]);
  }
  return problems;
}

function presetOf(name: string): Platform | undefined {
  return PLATFORMS.find((platform) => platform.name === name);
}

function ownersAt({ pathname }: URL, { owners, ownersInTenant = [] }: Platform): readonly string[] {
  return pathname === "/" ? owners : [...owners, ...ownersInTenant];
}

function problemOfIssuer(
  issuer: string,
  url: URL | null,
  platform: Platform | undefined,
): string | undefined {
  if (platform?.name === issuer) {
    return platform.issuer === undefined
      ? `must be written out: each tenant has an issuer of its own, ${platform.form}`
      : undefined;
  }
  if (url === null) {
    const names = PLATFORMS.filter((one) => one.issuer !== undefined).map(({ name }) => name);
    return `must be ${names.join(" or ")}, or an issuer's URL`;
  }
  const isCanonical = issuer === url.href || `${issuer}/` === url.href;
  if (!isCanonical || !isSecure(url) || url.username !== "" || url.search !== "" || url.hash !== "") {
    return "must be an https URL in canonical form, without user, query and fragment (http for a loopback host alone)";
  }
  if (issuer.length > ISSUER_TEXT_MAX) return `must have at most ${ISSUER_TEXT_MAX} characters`;
  if (platform !== undefined && !platform.path.test(issuer.slice(url.origin.length))) {
    return `must be ${platform.form}`;
  }
  return undefined;
}

function problemOfAudience(audience: string): string | undefined {
  if (!isText(audience)) return `must have 1 to ${ISSUER_TEXT_MAX} printable characters`;
  const whose = commonAudience(audience);
  return whose === undefined
    ? undefined
    : `is ${whose}: a service that is shown such a token could show it here. Have the platform make tokens for this edge`;
}

/** Checked in every token, and by no rule of a record's. */
const RESERVED = new Set(["iss", "aud", "exp", "iat", "nbf", "jti", "email_verified"]);

function problemOfClaim(name: string, value: string, platform: Platform | undefined): string | undefined {
  if (RESERVED.has(name)) return "is checked in any case, and says nothing of an owner";
  if (!isText(name) || !isText(value)) return `must have 1 to ${ISSUER_TEXT_MAX} printable characters`;
  const text = textOf(value);
  if (text.includes("*")) return "may have one * alone, as its last character";
  // "acme*" would match acme-evil, and "*" everybody.
  if (text !== value && !/[^/:][/:]$/.test(text)) {
    return "must end in /* or :*, with something before that: any other prefix matches its neighbours, too";
  }
  const shape = platform === undefined ? undefined : own(platform.shapes, name);
  return shape === undefined || shape.begins.test(text) ? undefined : `must be of the form ${shape.form}`;
}

/** A value without the `*` that makes it a prefix. */
function textOf(value: string): string {
  return value.endsWith("*") ? value.slice(0, -1) : value;
}

function isText(text: string): boolean {
  return text.length <= ISSUER_TEXT_MAX && /^[\x20-\x7e]+$/.test(text);
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
