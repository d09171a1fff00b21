import { askForText, parseAnswer } from "./ask.ts";
import { valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";

const WHO = "GitHub's token service";

/**
 * A job of GitHub Actions: the URL and the token that the runner sets where the job has `permissions: id-token: write`
 * (GitHub's "OpenID Connect reference").
 */
export const github: Platform = {
  title: "GitHub Actions",
  knownBy: "GITHUB_ACTIONS",
  isHere: (env) => valueOf(env, "GITHUB_ACTIONS") !== undefined,
  token: async ({ env, audience, signal }) => {
    const url = URL.parse(valueOf(env, "ACTIONS_ID_TOKEN_REQUEST_URL") ?? "");
    const bearer = valueOf(env, "ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    if (url === null || bearer === undefined) {
      throw platformFailure(
        "GitHub gives this job no token (ACTIONS_ID_TOKEN_REQUEST_URL is not set): it needs `permissions: id-token: write`, and jobs of forks get none",
      );
    }
    url.searchParams.set("audience", audience);
    const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
    const { value } = parseAnswer(WHO, await askForText({ who: WHO, url: url.href, headers, signal }));
    return String(value);
  },
};
