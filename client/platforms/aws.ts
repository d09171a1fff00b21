import { CERTIFICATE_MAX_SECONDS } from "../../protocol/limits.ts";
import { askPlatform, type PlatformAnswer } from "./ask.ts";
import { awsCredentials, awsRegion } from "./aws-credentials.ts";
import { firstSet, valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";
import { signAwsCall } from "./sigv4.ts";

/** What Lambda, ECS and EKS set. Credentials alone say nothing: also elsewhere programs have some, for a bucket. */
const KNOWN_BY = [
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_EXECUTION_ENV",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
] as const;
const WHO = "AWS's STS";

/** STS's shortest: where the role's session itself ends soon, no longer one can be had. */
const SHORT_SECONDS = 60;

/** What can be done where STS refuses, by its code. */
const MENDS: Readonly<Record<string, string>> = {
  AccessDenied: "the role needs leave for sts:GetWebIdentityToken",
  OutboundWebIdentityFederationDisabledException: "turn on outbound identity federation in the account's IAM",
};

/**
 * A workload of AWS's: the role that it runs in asks STS for a token (`GetWebIdentityToken`, IAM's outbound identity federation). An
 * instance of EC2's has no variable of these: it takes HOLDFAST_PLATFORM.
 */
export const aws: Platform = {
  title: "AWS",
  knownBy: KNOWN_BY.join(", "),
  isHere: (env) => firstSet(env, KNOWN_BY) !== undefined,
  token: async ({ env, audience, signal }) => {
    const region = await awsRegion({ env, signal });
    const credentials = await awsCredentials({ env, signal });
    const suffix = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    const endpoint = valueOf(env, "AWS_ENDPOINT_URL_STS") ?? `https://sts.${region}.${suffix}`;
    const url = URL.parse("/", endpoint);
    if (url === null) throw platformFailure("AWS_ENDPOINT_URL_STS is no URL");
    const ask = async (seconds: number): Promise<PlatformAnswer> => {
      const body = new URLSearchParams({
        Action: "GetWebIdentityToken",
        Version: "2011-06-15",
        "Audience.member.1": audience,
        DurationSeconds: String(seconds),
        SigningAlgorithm: "RS256",
      }).toString();
      const headers = await signAwsCall({ url, body, service: "sts", region }, credentials, Date.now());
      return askPlatform({ who: WHO, url: url.href, method: "POST", headers, body, signal });
    };
    let answer = await ask(CERTIFICATE_MAX_SECONDS);
    if (codeOf(answer) === "SessionDurationEscalationException") answer = await ask(SHORT_SECONDS);
    if (answer.status !== 200) throw platformFailure(refusal(answer));
    // A JWT has no character that XML would write in another way.
    const token = /<WebIdentityToken>\s*([\w.-]+)\s*<\/WebIdentityToken>/.exec(answer.text)?.[1];
    if (token === undefined) throw platformFailure(`${WHO} answered without a token`);
    return token;
  },
};

function codeOf({ status, text }: PlatformAnswer): string | undefined {
  return status === 200 ? undefined : /<Code>([A-Za-z.]{1,80})<\/Code>/.exec(text)?.[1];
}

function refusal(answer: PlatformAnswer): string {
  const code = codeOf(answer);
  const mend = MENDS[code ?? ""];
  return `${WHO} answered ${answer.status}${code === undefined ? "" : ` ${code}`}${mend === undefined ? "" : `: ${mend}`}`;
}
