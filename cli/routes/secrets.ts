import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { invalid } from "../records/read-file.ts";

/** Where a secret comes from. It is never an argument: others on the machine see those. */
export type SecretSource =
  | { readonly from: "file"; readonly path: string }
  | { readonly from: "env"; readonly name: string }
  | { readonly from: "stdin" }
  /** Made here, in the form that this kind of verifier takes. */
  | { readonly from: "new"; readonly kind: string };

/** Bytes of a secret that is made. */
const SECRET_BYTES = 32;

/** Providers that let their users choose the secret, besides Standard Webhooks: any text will do. */
const CHOSEN: ReadonlySet<string> = new Set(["github", "hmac"]);

/** Whether a secret for this kind of verifier can be made here: the others' providers make their own. */
export function canMake(kind: string): boolean {
  return kind === "standard-webhooks" || CHOSEN.has(kind);
}

/** Why one can't be. */
export function makesItsOwn(kind: string): string {
  return `--new-secret makes none for ${kind}, but for ${["standard-webhooks", ...CHOSEN].join(", ")}: give it by --secret-file or --secret-env`;
}

/** A fresh secret. */
export function newSecret(kind: string): string {
  const bytes = randomBytes(SECRET_BYTES);
  return kind === "standard-webhooks" ? `whsec_${bytes.toString("base64")}` : bytes.toString("base64url");
}

/**
 * Reads a secret, without the line break behind it.
 * @throws RelayError `request_invalid`, without a word of it
 */
export async function readSecret(source: SecretSource): Promise<string> {
  if (source.from === "new") return newSecret(source.kind);
  const secret = (await textOf(source)).replace(/\r?\n$/, "");
  if (secret === "") throw invalid("the secret is empty");
  return secret;
}

async function textOf(source: Exclude<SecretSource, { readonly from: "new" }>): Promise<string> {
  if (source.from === "stdin") return text(process.stdin);
  if (source.from === "env") {
    const value = process.env[source.name];
    if (value === undefined) throw invalid(`the variable ${source.name} is not set`);
    return value;
  }
  try {
    return readFileSync(source.path, "utf8");
  } catch (cause) {
    throw invalid(`the secret can't be read from that file (${(cause as NodeJS.ErrnoException).code})`);
  }
}
