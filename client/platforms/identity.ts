import { abortable } from "../../protocol/abort.ts";
import { isRelayError, RelayError } from "../../protocol/errors.ts";
import { PLATFORM_TOKEN_MAX_BYTES, PLATFORM_TOKEN_MS } from "../limits.ts";
import { aws } from "./aws.ts";
import { type Environment, environment, valueOf } from "./environment.ts";
import { flyPlatform } from "./fly.ts";
import { github } from "./github.ts";
import { tokenFile, tokenVariable } from "./given.ts";
import { google } from "./google.ts";
import type { IdentityOptions, IdentityToken } from "./options.ts";
import { type Platform, platformFailure, type TokenAsk } from "./platform.ts";
import { vercelPlatform } from "./vercel.ts";

/** By the names that HOLDFAST_PLATFORM takes; what runs as a job or a function comes before the machine that it runs on. */
const PLATFORMS = {
  github,
  vercel: vercelPlatform(),
  fly: flyPlatform(),
  google,
  aws,
} as const satisfies Record<string, Platform>;

const FORCE = "HOLDFAST_PLATFORM";

/**
 * Where this workload's token comes from, by its environment alone: the platform that HOLDFAST_PLATFORM names, or the first that
 * is here of HOLDFAST_ID_TOKEN_FILE, HOLDFAST_ID_TOKEN, GitHub Actions, Vercel, Fly, Google Cloud, AWS.
 *
 * @throws RelayError `platform_token_missing`, `request_invalid` where HOLDFAST_PLATFORM names none
 */
export function findPlatform(
  env: Environment,
  platforms: Readonly<Record<string, Platform>> = PLATFORMS,
): Platform {
  const forced = valueOf(env, FORCE);
  if (forced !== undefined) {
    if (Object.hasOwn(platforms, forced)) return platforms[forced]!;
    throw new RelayError("request_invalid", `${FORCE} is none of ${Object.keys(platforms).join(", ")}`);
  }
  const sources = [tokenFile, tokenVariable, ...Object.values(platforms)];
  const found = sources.find(({ isHere }) => isHere(env));
  if (found !== undefined) return found;
  const looked = sources.map(({ title, knownBy }) => (title === knownBy ? title : `${title} (${knownBy})`));
  throw new RelayError(
    "platform_token_missing",
    `HOLDFAST_URL has no private key, and no platform tells who is asking. Looked for: ${looked.join("; ")}. Where it is another of them, as on a virtual machine, ${FORCE} names it`,
  );
}

/** Where this workload's token comes from, for people. @throws RelayError as `findPlatform` */
export function identitySource({ identityToken }: IdentityOptions): string {
  return identityToken === undefined ? findPlatform(environment()).title : "the app's own identityToken";
}

/** What is looked at, and for how long. */
interface Surroundings {
  readonly env?: Environment;
  readonly platforms?: Readonly<Record<string, Platform>>;
  readonly deadlineMs?: number;
}

/**
 * Gets the platform's token.
 *
 * @throws RelayError `platform_token_missing`, `platform_token_failed`, `request_invalid`; never with a word of a token
 */
export async function askForIdentity(
  audience: string,
  { identityToken }: IdentityOptions,
  { env = environment(), platforms = PLATFORMS, deadlineMs = PLATFORM_TOKEN_MS }: Surroundings = {},
): Promise<string> {
  const platform = identityToken === undefined ? findPlatform(env, platforms) : ofApp(identityToken);
  const signal = AbortSignal.timeout(deadlineMs);
  let token: string;
  try {
    token = await abortable(platform.token({ env, audience, signal }), signal);
  } catch (cause) {
    if (signal.aborted) throw platformFailure(`${platform.title} gave no token within ${deadlineMs} ms`);
    if (isRelayError(cause)) throw cause;
    throw platformFailure(`${platform.title} gave no token`, cause);
  }
  return checkToken(platform.title, token);
}

function ofApp(identityToken: IdentityToken): Platform {
  const token = async ({ audience }: TokenAsk) => identityToken(audience);
  return { title: "the app's identityToken", knownBy: "", isHere: () => true, token };
}

/** Whether it can be a token at all: that it is a good one is the edge's to say. */
function checkToken(title: string, text: unknown): string {
  const token = typeof text === "string" ? text.trim() : "";
  if (token.length > PLATFORM_TOKEN_MAX_BYTES) {
    throw platformFailure(`${title} gave a token of more than ${PLATFORM_TOKEN_MAX_BYTES} bytes`);
  }
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) throw platformFailure(`${title} gave what is no JWT`);
  return token;
}
