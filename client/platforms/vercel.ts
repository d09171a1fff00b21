import { decodeJwt } from "jose";
import { askForText, parseAnswer } from "./ask.ts";
import { type Environment, valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";

/** Where Vercel's runtime keeps the request that is being served. */
const CONTEXT = Symbol.for("@vercel/request-context");
const FIELD = "x-vercel-oidc-token";

/** Where Vercel makes a token out for another audience; so does its own package, `@vercel/oidc`. */
const EXCHANGE = "https://oidc.vercel.com/~token";
const WHO = "Vercel's token service";

/**
 * A function, a build or a development machine of Vercel's: a function's request has a token in a field, the others have it in a
 * variable (Vercel's "OIDC federation reference"). It is made out for `https://vercel.com/<team>`, and so exchanged for one that is
 * for the edge alone.
 */
export function vercelPlatform(exchange = EXCHANGE): Platform {
  return {
    title: "Vercel",
    knownBy: "VERCEL or VERCEL_OIDC_TOKEN",
    isHere: (env) => valueOf(env, "VERCEL") !== undefined || tokenOf(env) !== undefined,
    token: async ({ env, audience, signal }) => {
      const token = tokenOf(env);
      if (token === undefined) {
        throw platformFailure(
          `Vercel gives no token here: neither the request has ${FIELD} nor is VERCEL_OIDC_TOKEN set. It is turned on in the project's settings, under Security; on a machine of your own, run \`vercel env pull\``,
        );
      }
      if (isFor(token, audience)) return token;
      const text = await askForText({
        who: WHO,
        url: exchange,
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify({ token, aud: audience }),
        signal,
      });
      return String(parseAnswer(WHO, text)["token"]);
    },
  };
}

function tokenOf(env: Environment): string | undefined {
  const { [CONTEXT]: context } = globalThis as { readonly [CONTEXT]?: { get?: () => unknown } };
  const { headers } = (context?.get?.() ?? {}) as { readonly headers?: Readonly<Record<string, unknown>> };
  const field = headers?.[FIELD];
  return typeof field === "string" && field !== "" ? field : valueOf(env, "VERCEL_OIDC_TOKEN");
}

function isFor(token: string, audience: string): boolean {
  try {
    return [decodeJwt(token).aud].flat().includes(audience);
  } catch {
    return false;
  }
}
