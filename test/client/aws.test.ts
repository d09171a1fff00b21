import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { aws } from "../../client/platforms/aws.ts";
import type { Environment } from "../../client/platforms/environment.ts";
import { askForIdentity } from "../../client/platforms/identity.ts";
import { signAwsCall } from "../../client/platforms/sigv4.ts";
import { failureOf } from "../support/fidelity.ts";
import { type AwsAccount, type PlatformServer, signatureFault, startPlatform } from "../support/platforms.ts";

const AUDIENCE = "https://edge.example.com";
const TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2xlIn0.c2lnbmF0dXJl";
const ACCOUNT: AwsAccount = {
  accessKeyId: "ASIAEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: "session/of+a==role",
};
const IMDS_TOKEN = "token-of-the-instance";
const POD_TOKEN = "token-of-the-pod";

const dir = mkdtempSync(join(tmpdir(), "holdfast-aws-"));
let sts: PlatformServer;
let container: PlatformServer;
let instance: PlatformServer;

const xml = (name: string, inner: string) =>
  `<${name} xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${inner}</${name}>`;
const refusal = (code: string) =>
  xml(
    "ErrorResponse",
    `<Error><Type>Sender</Type><Code>${code}</Code><Message>arn:aws:sts::1:no</Message></Error>`,
  );
/** How long a token STS gives at most. */
let longest = 3_600;

beforeAll(async () => {
  sts = await startPlatform((request, response) => {
    const fault = signatureFault(request, ACCOUNT, Date.now());
    if (fault !== undefined) return void response.writeHead(403).end(refusal(fault));
    const form = Object.fromEntries(new URLSearchParams(request.body));
    if (Number(form["DurationSeconds"]) > longest) {
      return void response.writeHead(403).end(refusal("SessionDurationEscalationException"));
    }
    const result = `<WebIdentityToken>${TOKEN}</WebIdentityToken><Expiration>2026-11-28T15:00:00Z</Expiration>`;
    const inner = `<GetWebIdentityTokenResult>${result}</GetWebIdentityTokenResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>`;
    response.writeHead(200, { "Content-Type": "text/xml" }).end(xml("GetWebIdentityTokenResponse", inner));
  });
  const credentials = JSON.stringify({
    AccessKeyId: ACCOUNT.accessKeyId,
    SecretAccessKey: ACCOUNT.secretAccessKey,
    Token: ACCOUNT.sessionToken,
    Expiration: "2026-11-28T20:00:00Z",
  });
  container = await startPlatform(({ url, headers }, response) => {
    const isGood = url === "/v1/credentials" && headers.authorization === POD_TOKEN;
    response.writeHead(isGood ? 200 : 400).end(isGood ? credentials : undefined);
  });
  instance = await startPlatform(({ method, url, headers }, response) => {
    if (`${method} ${url}` === "PUT /latest/api/token") {
      const isGood = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]) > 0;
      return void response.writeHead(isGood ? 200 : 400).end(isGood ? IMDS_TOKEN : "");
    }
    if (headers["x-aws-ec2-metadata-token"] !== IMDS_TOKEN) return void response.writeHead(401).end();
    const pages: Record<string, string> = {
      "/latest/meta-data/placement/region": "eu-central-1",
      "/latest/meta-data/iam/security-credentials/": "app-role",
      "/latest/meta-data/iam/security-credentials/app-role": credentials,
    };
    const page = pages[url];
    response.writeHead(page === undefined ? 404 : 200).end(page);
  });
  writeFileSync(join(dir, "pod-token"), `${POD_TOKEN}\n`);
});
afterEach(() => {
  for (const server of [sts, container, instance]) server.fault = undefined;
  longest = 3_600;
});
afterAll(async () => {
  await Promise.all([sts, container, instance].map((server) => server.close()));
  rmSync(dir, { recursive: true });
});

type Machine = () => Environment;

const lambda: Machine = () => ({
  AWS_LAMBDA_FUNCTION_NAME: "app",
  AWS_REGION: "eu-west-1",
  AWS_ACCESS_KEY_ID: ACCOUNT.accessKeyId,
  AWS_SECRET_ACCESS_KEY: ACCOUNT.secretAccessKey,
  AWS_SESSION_TOKEN: ACCOUNT.sessionToken,
  AWS_ENDPOINT_URL_STS: sts.at,
});
const pod: Machine = () => ({
  AWS_REGION: "eu-west-1",
  AWS_CONTAINER_CREDENTIALS_FULL_URI: `${container.at}/v1/credentials`,
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(dir, "pod-token"),
  AWS_ENDPOINT_URL_STS: sts.at,
});
const machine: Machine = () => ({
  AWS_EC2_METADATA_SERVICE_ENDPOINT: `${instance.at}/`,
  AWS_ENDPOINT_URL_STS: sts.at,
});
const tokenOf = (env: Environment) => askForIdentity(AUDIENCE, {}, { env, platforms: { only: aws } });
const forced = (env: Environment) => tokenOf({ ...env, HOLDFAST_PLATFORM: "only" });

describe("a token of the role's", () => {
  test.each<[string, Machine]>([
    ["Lambda", lambda],
    ["a container, with a file", pod],
    [
      "a container, with a variable",
      () => {
        const { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: _, ...rest } = pod();
        return { ...rest, AWS_CONTAINER_AUTHORIZATION_TOKEN: POD_TOKEN };
      },
    ],
    ["an instance", machine],
  ])("on %s: is asked for as STS wants it", async (_, env) => {
    expect(await forced(env())).toBe(TOKEN);
    const asked = sts.seen.at(-1)!;
    expect(`${asked.method} ${asked.url}`).toBe("POST /");
    expect(Object.fromEntries(new URLSearchParams(asked.body))).toEqual({
      Action: "GetWebIdentityToken",
      Version: "2011-06-15",
      "Audience.member.1": AUDIENCE,
      DurationSeconds: "900",
      SigningAlgorithm: "RS256",
    });
    expect(asked.headers.authorization).toContain(
      env()["AWS_REGION"] === undefined ? "/eu-central-1/sts/" : "/eu-west-1/sts/",
    );
  });

  test("is short where the role's session ends soon", async () => {
    longest = 60;
    const before = sts.seen.length;
    expect(await tokenOf(lambda())).toBe(TOKEN);
    const asked = sts.seen.slice(before).map(({ body }) => new URLSearchParams(body).get("DurationSeconds"));
    expect(asked).toEqual(["900", "60"]);
  });
});

/** AWS's endpoints by name, and what is wrong with them. */
const faults = {
  sts: (text: string, status = 403) => {
    sts.fault = (response) => response.writeHead(status).end(text);
  },
  container: (text: string, status = 200) => {
    container.fault = (response) => response.writeHead(status).end(text);
  },
  instance: (text: string, status = 200) => {
    instance.fault = (response) => response.writeHead(status).end(text);
  },
};

test.each<[string, () => void, Machine, RegExp]>([
  [
    "no leave",
    () => faults.sts(refusal("AccessDenied")),
    lambda,
    /403 AccessDenied: the role needs leave for sts:GetWebIdentityToken$/,
  ],
  [
    "federation that is off",
    () => faults.sts(refusal("OutboundWebIdentityFederationDisabledException")),
    lambda,
    /turn on outbound identity federation/,
  ],
  ["STS that is in trouble", () => faults.sts("<html>", 500), lambda, /STS answered 500$/],
  ["an answer without a token", () => faults.sts("<WebIdentityToken/>", 200), lambda, /without a token/],
  [
    "another secret",
    () => {},
    () => ({ ...lambda(), AWS_SECRET_ACCESS_KEY: "another" }),
    /403 SignatureDoesNotMatch$/,
  ],
  [
    "no session",
    () => {},
    () => ({ ...lambda(), AWS_SESSION_TOKEN: undefined }),
    /403 InvalidClientTokenId$/,
  ],
  [
    "a region that is none",
    () => {},
    () => ({ ...lambda(), AWS_REGION: "evil.example/" }),
    /no name of a region/,
  ],
  ["an endpoint that is none", () => {}, () => ({ ...lambda(), AWS_ENDPOINT_URL_STS: "sts" }), /is no URL/],
  ["a container that has none", () => faults.container("{}"), pod, /answered no credentials/],
  ["a container's garbage", () => faults.container(ACCOUNT.secretAccessKey), pod, /no JSON object/],
  ["a container that refuses", () => faults.container("", 401), pod, /answered 401/],
  [
    "a container's endpoint elsewhere",
    () => {},
    () => ({ ...pod(), AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1.evil.example/" }),
    /neither https nor of this host/,
  ],
  [
    "a file that is not there",
    () => {},
    () => ({ ...pod(), AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(dir, "none") }),
    /TOKEN_FILE can't be read/,
  ],
  ["an instance that refuses", () => faults.instance("", 403), machine, /metadata service answered 403/],
  [
    "an instance that may not be asked",
    () => {},
    () => ({ ...machine(), AWS_REGION: "eu-west-1", AWS_EC2_METADATA_DISABLED: "true" }),
    /AWS_EC2_METADATA_DISABLED/,
  ],
])("%s is told, without a secret", async (_, prepare, env, why) => {
  prepare();
  const error = await failureOf(forced(env()));
  expect(error).toMatchObject({ code: "platform_token_failed", detail: expect.stringMatching(why) });
  const all = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
  for (const secret of [
    ACCOUNT.secretAccessKey,
    ACCOUNT.sessionToken,
    POD_TOKEN,
    IMDS_TOKEN,
    TOKEN,
    "arn:",
  ]) {
    expect(all).not.toContain(secret);
  }
});

test("a signature is the one of AWS's own test suite (post-x-www-form-urlencoded)", async () => {
  const { authorization } = await signAwsCall(
    {
      url: new URL("https://example.amazonaws.com/"),
      body: "Param1=value1",
      service: "service",
      region: "us-east-1",
    },
    { accessKeyId: "AKIDEXAMPLE", secretAccessKey: ACCOUNT.secretAccessKey },
    Date.UTC(2015, 7, 30, 12, 36),
  );
  expect(authorization).toBe(
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  );
});

test("a signature is what AWS computes of a call, and of no other", async () => {
  const now = Date.UTC(2026, 10, 28, 14, 5, 9);
  const call = {
    url: new URL("https://sts.eu-west-1.amazonaws.com/"),
    body: "Action=A&B=%20",
    service: "sts",
    region: "eu-west-1",
  };
  const fields = await signAwsCall(call, ACCOUNT, now);
  const request = { method: "POST", url: "/", headers: { ...fields, host: call.url.host }, body: call.body };
  expect(signatureFault(request, ACCOUNT, now)).toBeUndefined();
  expect(signatureFault({ ...request, body: "Action=B" }, ACCOUNT, now)).toBe("SignatureDoesNotMatch");
  expect(signatureFault({ ...request, headers: { ...request.headers, host: "evil" } }, ACCOUNT, now)).toBe(
    "SignatureDoesNotMatch",
  );
  expect(signatureFault(request, ACCOUNT, now + 301_000)).toBe("SignatureDoesNotMatch: time");
});
