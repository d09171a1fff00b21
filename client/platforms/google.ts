import { askPlatform } from "./ask.ts";
import { firstSet, valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";

/** What Cloud Run's services, jobs and functions, and App Engine set; a metadata server that is named is as good. */
const KNOWN_BY = ["K_SERVICE", "CLOUD_RUN_JOB", "GAE_SERVICE", "GCE_METADATA_HOST"] as const;
const WHO = "Google's metadata server";

/**
 * A service of Google's (Google's "Get an ID token from the metadata server"). A virtual machine of Compute Engine's, and a pod of
 * GKE's, have no such variable: they take HOLDFAST_PLATFORM.
 */
export const google: Platform = {
  title: "Google Cloud",
  knownBy: KNOWN_BY.join(", "),
  isHere: (env) => firstSet(env, KNOWN_BY) !== undefined,
  token: async ({ env, audience, signal }) => {
    const host = valueOf(env, "GCE_METADATA_HOST") ?? "metadata.google.internal";
    const query = new URLSearchParams({ audience, format: "full" }).toString();
    const url = `http://${host}/computeMetadata/v1/instance/service-accounts/default/identity?${query}`;
    const flavor = "Metadata-Flavor";
    const answer = await askPlatform({ who: WHO, url, headers: { [flavor]: "Google" }, signal });
    if (answer.status !== 200) {
      throw platformFailure(
        `${WHO} answered ${answer.status}${answer.status === 404 ? ": the workload has no service account" : ""}`,
      );
    }
    // So says Google's documentation: something else may answer under that name.
    if (answer.headers.get(flavor) !== "Google") throw platformFailure(`what answered is not ${WHO}`);
    return answer.text;
  },
};
