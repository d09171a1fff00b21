import { askForText, parseAnswer } from "./ask.ts";
import { nodeFs, valueOf } from "./environment.ts";
import { platformFailure, type TokenAsk } from "./platform.ts";
import type { AwsCredentials } from "./sigv4.ts";

type Ask = Pick<TokenAsk, "env" | "signal">;

const CONTAINER_HOST = "http://169.254.170.2";
const CONTAINER = "AWS's container credentials endpoint";
const INSTANCE = "AWS's instance metadata service";

/** Besides this machine itself: the endpoints of ECS and EKS, which AWS's own clients let be asked without TLS. */
const CONTAINER_HOSTS = new Set(["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]);

/**
 * The credentials of this workload, where AWS's own clients look for them first: the environment, the container's endpoint (ECS, EKS),
 * the instance's metadata (EC2, version 2).
 *
 * @throws RelayError `platform_token_failed`
 */
export async function awsCredentials(ask: Ask): Promise<AwsCredentials> {
  const accessKeyId = valueOf(ask.env, "AWS_ACCESS_KEY_ID");
  const secretAccessKey = valueOf(ask.env, "AWS_SECRET_ACCESS_KEY");
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { accessKeyId, secretAccessKey, sessionToken: valueOf(ask.env, "AWS_SESSION_TOKEN") };
  }
  const url = containerUrl(ask);
  return url === undefined ? ofInstance(ask) : ofContainer(url, ask);
}

/**
 * The region whose STS is asked.
 * @throws RelayError `platform_token_failed`
 */
export async function awsRegion(ask: Ask): Promise<string> {
  const named = valueOf(ask.env, "AWS_REGION") ?? valueOf(ask.env, "AWS_DEFAULT_REGION");
  const region = named ?? (await instanceReader(ask))("placement/region");
  const text = await region;
  // It becomes part of a host's name.
  if (!/^[a-z0-9-]{1,32}$/.test(text)) throw platformFailure("AWS_REGION is no name of a region");
  return text;
}

function containerUrl({ env }: Ask): string | undefined {
  const relative = valueOf(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (relative !== undefined) return `${CONTAINER_HOST}${relative}`;
  const full = valueOf(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full === undefined) return undefined;
  const url = URL.parse(full);
  const isNear = (host: string) =>
    /^(localhost|127\.[0-9.]+|\[::1\])$/.test(host) || CONTAINER_HOSTS.has(host);
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isNear(url.hostname))) return full;
  throw platformFailure("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this host");
}

async function ofContainer(url: string, { env, signal }: Ask): Promise<AwsCredentials> {
  const file = valueOf(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  let authorization = valueOf(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (file !== undefined) {
    try {
      authorization = nodeFs()?.readFileSync(file, "utf8").trim();
    } catch (cause) {
      throw platformFailure("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE can't be read", cause);
    }
  }
  const headers = authorization === undefined ? {} : { authorization };
  return parseCredentials(CONTAINER, await askForText({ who: CONTAINER, url, headers, signal }));
}

async function ofInstance(ask: Ask): Promise<AwsCredentials> {
  const read = await instanceReader(ask);
  const [role] = (await read("iam/security-credentials/")).trim().split("\n");
  if (role === undefined || role === "") throw platformFailure("this instance of EC2's has no role");
  return parseCredentials(INSTANCE, await read(`iam/security-credentials/${encodeURIComponent(role)}`));
}

/** Version 2 of the service wants a token first, which nothing that merely forwards requests can be made to ask for. */
async function instanceReader({ env, signal }: Ask): Promise<(path: string) => Promise<string>> {
  if (valueOf(env, "AWS_EC2_METADATA_DISABLED")?.toLowerCase() === "true") {
    throw platformFailure(
      "there are no credentials of AWS's in the environment, and AWS_EC2_METADATA_DISABLED keeps from asking the instance for them",
    );
  }
  const base =
    valueOf(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT")?.replace(/\/$/, "") ?? "http://169.254.169.254";
  const token = await askForText({
    who: INSTANCE,
    url: `${base}/latest/api/token`,
    method: "PUT",
    headers: { "x-aws-ec2-metadata-token-ttl-seconds": "60" },
    signal,
  });
  const headers = { "x-aws-ec2-metadata-token": token.trim() };
  return async (path) =>
    (await askForText({ who: INSTANCE, url: `${base}/latest/meta-data/${path}`, headers, signal })).trim();
}

function parseCredentials(who: string, text: string): AwsCredentials {
  const { AccessKeyId, SecretAccessKey, Token } = parseAnswer(who, text);
  if (typeof AccessKeyId !== "string" || typeof SecretAccessKey !== "string" || typeof Token !== "string") {
    throw platformFailure(`${who} answered no credentials`);
  }
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
}
