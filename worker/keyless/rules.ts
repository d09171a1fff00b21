import type { PlatformIdentity } from "../../protocol/certificates.ts";
import type { ClaimRule, IssuerRule } from "../issuers.ts";

type Claims = Readonly<Record<string, unknown>>;

/** What a client's rules say of a token: who it is and by which rule, or by which of its claims it is not let in. */
export type Verdict =
  | { readonly identity: PlatformIdentity; readonly rule: IssuerRule }
  /** Of the rule that came nearest; none where no rule is for this issuer. */
  | { readonly differs: readonly string[] };

/**
 * Judges a proven platform token by a client's rules: one of them has to hold altogether.
 *
 * @param audience what `aud` has to be where the rule doesn't say
 * @example judgeToken(client.issuers, claims, "https://edge.example.com")
 */
export function judgeToken(rules: readonly IssuerRule[], claims: Claims, audience: string): Verdict {
  let nearest: readonly string[] = [];
  for (const rule of rules) {
    if (rule.issuer !== claims["iss"]) continue;
    const differs = [
      ...(isAudience(claims["aud"], rule.audience ?? audience) ? [] : ["aud"]),
      ...differences(rule, claims),
    ];
    if (differs.length === 0) return { identity: identityOf(rule, claims), rule };
    if (nearest.length === 0 || differs.length < nearest.length) nearest = differs;
  }
  return { differs: nearest };
}

/** Which of a client's rules of today still lets in whom a certificate was given to. */
export function trustingRule(
  rules: readonly IssuerRule[],
  { iss, sub, claims }: PlatformIdentity,
): IssuerRule | undefined {
  return rules.find((rule) => rule.issuer === iss && differences(rule, { ...claims, sub }).length === 0);
}

/** A token for several services at once could be shown here by each of them. */
function isAudience(aud: unknown, expected: string): boolean {
  return aud === expected || (Array.isArray(aud) && aud.length === 1 && aud[0] === expected);
}

function differences({ claims: rules }: IssuerRule, claims: Claims): string[] {
  const differs = rules.filter((rule) => !holds(rule, own(claims, rule.name))).map(({ name }) => name);
  // Whoever may write any address into an account has to have shown that it is theirs.
  if (looksAtEmail(rules) && !isTrue(own(claims, "email_verified"))) differs.push("email_verified");
  return differs;
}

function holds({ text, isPrefix }: ClaimRule, value: unknown): boolean {
  return typeof value === "string" && (isPrefix ? value.startsWith(text) : value === text);
}

function identityOf({ issuer, claims: rules }: IssuerRule, claims: Claims): PlatformIdentity {
  const seen = rules.map(({ name }) => [name, claims[name] as string] as const);
  return {
    iss: issuer,
    sub: claims["sub"] as string,
    claims: {
      ...Object.fromEntries(seen),
      ...(looksAtEmail(rules) && { email_verified: true }),
    },
  };
}

function looksAtEmail(rules: readonly ClaimRule[]): boolean {
  return rules.some(({ name }) => name === "email");
}

function isTrue(value: unknown): boolean {
  return value === true || value === "true";
}

function own(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}
