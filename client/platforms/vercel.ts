import { type Environment, valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";

/** Where Vercel's runtime keeps the request that is being served. */
const CONTEXT = Symbol.for("@vercel/request-context");
const FIELD = "x-vercel-oidc-token";

/**
 * A function, a build or a development machine of Vercel's: a function's request has the token in a field, the others have it in a
 * variable (Vercel's "OIDC federation reference"). Its audience is `https://vercel.com/<team>` and can't be chosen here.
 */
export const vercel: Platform = {
  title: "Vercel",
  knownBy: "VERCEL or VERCEL_OIDC_TOKEN",
  isHere: (env) => valueOf(env, "VERCEL") !== undefined || tokenOf(env) !== undefined,
  token: async ({ env }) => {
    const token = tokenOf(env);
    if (token !== undefined) return token;
    throw platformFailure(
      `Vercel gives no token here: neither the request has ${FIELD} nor is VERCEL_OIDC_TOKEN set. It is turned on in the project's settings, under Security; on a machine of your own, run \`vercel env pull\``,
    );
  },
};

function tokenOf(env: Environment): string | undefined {
  const { [CONTEXT]: context } = globalThis as { readonly [CONTEXT]?: { get?: () => unknown } };
  const { headers } = (context?.get?.() ?? {}) as { readonly headers?: Readonly<Record<string, unknown>> };
  const field = headers?.[FIELD];
  return typeof field === "string" && field !== "" ? field : valueOf(env, "VERCEL_OIDC_TOKEN");
}
