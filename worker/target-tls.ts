import * as z from "zod/mini";
import { RelayError } from "../protocol/errors.ts";
import { TARGET_CA_MAX, TARGET_CA_MAX_BYTES, TARGET_PINS_MAX, TARGET_TLS_MAX } from "../protocol/limits.ts";
import { type AllowedTarget, isAtOrigin, parseAllowedTarget, type TargetUrl } from "../protocol/targets.ts";
import { isPin, TLS_VERSIONS, type TlsRules, type TlsVersion } from "../protocol/tls-rules.ts";

/** What a client's record asks of TLS to one target, or to those that a wildcard stands for. */
export interface TargetTls {
  /** An `https://` target as `parseAllowedTarget` reads it, without path and methods. */
  readonly target: string;
  /** PEM: the only authorities that are trusted there, in place of the public ones. */
  readonly ca?: string | undefined;
  readonly pins?: readonly string[] | undefined;
  readonly minVersion?: TlsVersion | undefined;
}

/** An entry ready for use. */
export interface TargetTlsRule {
  readonly target: AllowedTarget;
  readonly rules: TlsRules;
}

/** What must not be wrong with a value, told by a function that throws what is. */
function readable<T>(read: (value: T) => unknown): z.core.CheckFn<T> {
  return (context) => {
    try {
      read(context.value);
    } catch (error) {
      const message = error instanceof RelayError ? error.detail : (error as Error).message;
      context.issues.push({ code: "custom", message, input: context.value });
    }
  };
}

const entry = z
  .strictObject({
    target: z.string().check(readable(targetOf)),
    ca: z.optional(z.string().check(readable(certificatesOf))),
    pins: z.optional(
      z
        .array(
          z
            .string()
            .check(
              z.refine(isPin, "must be sha256/ and the SHA-256 of a public key (SPKI, DER) in padded base64"),
            ),
        )
        .check(
          z.minLength(1, "must hold at least one pin"),
          z.maxLength(TARGET_PINS_MAX, `must hold at most ${TARGET_PINS_MAX} pins`),
        ),
    ),
    minVersion: z.optional(z.enum(TLS_VERSIONS)),
  })
  .check(
    z.refine(
      ({ ca, pins, minVersion }) => ca !== undefined || pins !== undefined || minVersion !== undefined,
      "must hold a ca, pins or a minVersion",
    ),
  );

/** The record's `tls`. */
export const targetTlsSchema = z
  .array(entry)
  .check(
    z.maxLength(TARGET_TLS_MAX, `must hold at most ${TARGET_TLS_MAX} entries`),
    (context: z.core.ParsePayload<readonly TargetTls[]>) => {
      const seen = new Set<string>();
      for (const [index, { target }] of context.value.entries()) {
        const canonical = placeOf(target);
        if (canonical === undefined || !seen.has(canonical)) seen.add(canonical ?? target);
        else {
          context.issues.push({
            code: "custom",
            message: "names the target of another entry",
            input: target,
            path: [index, "target"],
          });
        }
      }
    },
  );

/** Entries that were checked, those for fewer hosts first. */
export function loadTargetTls(entries: readonly TargetTls[]): readonly TargetTlsRule[] {
  return entries
    .map(({ target, ca, pins, minVersion }) => ({
      target: targetOf(target),
      rules: {
        ...(ca !== undefined && { ca: certificatesOf(ca) }),
        ...(pins !== undefined && { pins }),
        ...(minVersion !== undefined && { min: minVersion }),
      },
    }))
    .toSorted((one, other) => specificity(other.target) - specificity(one.target));
}

/**
 * What is asked of TLS to a target: the rules of one entry, that of its very host before those of wildcards, and of these the
 * longest.
 */
export function tlsRulesFor(rules: readonly TargetTlsRule[], url: TargetUrl): TlsRules | undefined {
  return rules.find(({ target }) => isAtOrigin(target, url))?.rules;
}

function specificity({ host }: AllowedTarget): number {
  if (host === undefined) return 0;
  return host.startsWith(".") ? host.length : Number.MAX_SAFE_INTEGER;
}

/** @throws Error that says what the target must be */
function targetOf(text: string): AllowedTarget {
  const target = parseAllowedTarget(text);
  if (target.scheme !== "https" || target.path !== undefined || target.methods !== undefined) {
    throw new Error("must be an https:// target without path and methods");
  }
  return target;
}

/** The hosts and port that a target stands for, however it is written. */
function placeOf(text: string): string | undefined {
  try {
    const { host = "*", port } = targetOf(text);
    return `${host}:${port}`;
  } catch {
    return undefined;
  }
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/**
 * The certificates of a PEM text, as base64 of their DER. Text between them is left out, as everywhere; it is looked at whether
 * each is one value of DER, and no more: what it says, its node finds out.
 *
 * @throws Error that says what is wrong
 */
function certificatesOf(pem: string): readonly string[] {
  const blocks = [...pem.matchAll(BLOCK)];
  if (blocks.length === 0 || blocks.length !== pem.split("-----BEGIN ").length - 1) {
    throw new Error("must be certificates in PEM, each from its BEGIN to its END");
  }
  const certificates = blocks.map(([, label, body], index) => {
    if (label !== "CERTIFICATE") throw new Error(`must hold certificates alone, and no ${label!}`);
    const encoded = body!.replaceAll(/\s/g, "");
    if (!isOneSequence(encoded)) throw new Error(`has a certificate ${index + 1} that is cut or no DER`);
    return encoded;
  });
  if (certificates.length > TARGET_CA_MAX) throw new Error(`must hold at most ${TARGET_CA_MAX} certificates`);
  const size = certificates.join("").length;
  if (size > TARGET_CA_MAX_BYTES) {
    throw new Error(`must have at most ${TARGET_CA_MAX_BYTES} characters of base64, it has ${size}`);
  }
  return certificates;
}

/** Whether it is one SEQUENCE with a definite length, which is its own (X.690 sections 8.1.3 and 10.1). */
function isOneSequence(encoded: string): boolean {
  let bytes: string;
  try {
    bytes = atob(encoded);
  } catch {
    return false;
  }
  const lengthBytes = bytes.charCodeAt(1) - 0x80;
  if (bytes.charCodeAt(0) !== 0x30 || encoded.length % 4 !== 0) return false;
  if (lengthBytes < 0) return bytes.length === 2 + bytes.charCodeAt(1);
  if (lengthBytes < 1 || lengthBytes > 3) return false;
  let length = 0;
  for (let at = 2; at < 2 + lengthBytes; at++) length = length * 256 + bytes.charCodeAt(at);
  return bytes.length === 2 + lengthBytes + length;
}
