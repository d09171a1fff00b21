import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RelayError } from "../../client/index.ts";
import { aws } from "../../client/platforms/aws.ts";
import type { Environment } from "../../client/platforms/environment.ts";
import { flyPlatform } from "../../client/platforms/fly.ts";
import { github } from "../../client/platforms/github.ts";
import { google } from "../../client/platforms/google.ts";
import { askForIdentity, findPlatform } from "../../client/platforms/identity.ts";
import type { Platform } from "../../client/platforms/platform.ts";
import { vercelPlatform } from "../../client/platforms/vercel.ts";
import { failureOf } from "../support/fidelity.ts";
import { type PlatformRequest, type PlatformServer, startPlatform } from "../support/platforms.ts";

const AUDIENCE = "https://edge.example.com";
/** What stands in for a token, and what must never be told. */
const jwt = (claims: object) =>
  [{ alg: "RS256" }, claims, "signature"]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
const TOKEN = jwt({ aud: AUDIENCE });
const VERCELS = jwt({ aud: "https://vercel.com/acme" });
const SECRET = "secret-of-the-platform";
const CONTEXT = Symbol.for("@vercel/request-context");

const dir = mkdtempSync(join(tmpdir(), "holdfast-platforms-"));
const file = join(dir, "token");
const servers: PlatformServer[] = [];
let fly: PlatformServer;
let githubs: PlatformServer;
let googles: PlatformServer;
let vercels: PlatformServer;

/** Answers where the request is as it is documented, and 400 where it isn't. */
const where =
  (isGood: (request: PlatformRequest) => boolean, answer: (response: ServerResponse) => void) =>
  (request: PlatformRequest, response: ServerResponse) => {
    if (isGood(request)) answer(response);
    else response.writeHead(400).end();
  };

beforeAll(async () => {
  fly = await startPlatform(
    where(
      ({ method, url, headers, body }) =>
        `${method} ${url}` === "POST /v1/tokens/oidc" &&
        headers["content-type"] === "application/json" &&
        body === JSON.stringify({ aud: AUDIENCE }),
      (response) => response.end(`${TOKEN}\n`),
    ),
    join(dir, "fly.sock"),
  );
  githubs = await startPlatform(
    where(
      ({ method, url, headers }) =>
        `${method} ${url}` === `GET /token?api-version=2.0&audience=${encodeURIComponent(AUDIENCE)}` &&
        headers.authorization === `Bearer ${SECRET}`,
      (response) => response.end(JSON.stringify({ count: 1, value: TOKEN })),
    ),
  );
  googles = await startPlatform(
    where(
      ({ method, url, headers }) =>
        `${method} ${url}` ===
          `GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=${encodeURIComponent(AUDIENCE)}&format=full` &&
        headers["metadata-flavor"] === "Google",
      (response) =>
        response.writeHead(200, { "Metadata-Flavor": "Google", "Content-Type": "text/html" }).end(TOKEN),
    ),
  );
  vercels = await startPlatform(
    where(
      ({ method, url, body }) =>
        `${method} ${url}` === "POST /~token" && body === JSON.stringify({ token: VERCELS, aud: AUDIENCE }),
      (response) => response.end(JSON.stringify({ token: TOKEN, expiry: 2_000_000_000 })),
    ),
  );
  servers.push(fly, githubs, googles, vercels);
});
afterEach(() => {
  for (const server of servers) server.fault = undefined;
  Reflect.deleteProperty(globalThis, CONTEXT);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(dir, { recursive: true });
});

/** Each platform with what it needs here. */
const here = (name: string): { platform: Platform; env: Environment; server: PlatformServer } => {
  switch (name) {
    case "fly":
      return { platform: flyPlatform(fly.at), env: { FLY_APP_NAME: "app" }, server: fly };
    case "github":
      return {
        platform: github,
        env: {
          GITHUB_ACTIONS: "true",
          ACTIONS_ID_TOKEN_REQUEST_URL: `${githubs.at}/token?api-version=2.0`,
          ACTIONS_ID_TOKEN_REQUEST_TOKEN: SECRET,
        },
        server: githubs,
      };
    case "google":
      return {
        platform: google,
        env: { K_SERVICE: "app", GCE_METADATA_HOST: googles.at.slice("http://".length) },
        server: googles,
      };
    default:
      return {
        platform: vercelPlatform(`${vercels.at}/~token`),
        env: { VERCEL: "1", VERCEL_OIDC_TOKEN: VERCELS },
        server: vercels,
      };
  }
};
/** Gets a token of one platform alone. */
const tokenOf = (platform: Platform, env: Environment, deadlineMs = 5_000) =>
  askForIdentity(AUDIENCE, {}, { env, deadlineMs, platforms: { only: platform } });

describe.each(["fly", "github", "google", "vercel"])("%s", (name) => {
  test("gives a token for the edge, asked as its documentation says", async () => {
    const { platform, env, server } = here(name);
    expect(platform.isHere(env)).toBe(true);
    expect(platform.isHere({})).toBe(false);
    const before = server.seen.length;
    expect(await tokenOf(platform, env)).toBe(TOKEN);
    expect(server.seen.length - before).toBe(1);
  });

  test.each<[string, (response: ServerResponse) => void, RegExp]>([
    ["refuses", (r) => r.writeHead(403).end(`no ${SECRET}`), /answered 403/],
    ["is in trouble", (r) => r.writeHead(500).end(), /answered 500/],
    ["leads elsewhere", (r) => r.writeHead(302, { Location: "http://127.0.0.1:1/" }).end(), /answered 302/],
    [
      "answers garbage",
      (r) => r.writeHead(200, { "Metadata-Flavor": "Google" }).end(`\u0000<html>${SECRET}`),
      /no JWT|no JSON/,
    ],
    ["answers nothing", (r) => r.writeHead(200, { "Metadata-Flavor": "Google" }).end(), /no JWT|no JSON/],
    ["answers null", (r) => r.writeHead(200, { "Metadata-Flavor": "Google" }).end("null"), /no JWT|no JSON/],
    [
      "answers without end",
      (r) => r.writeHead(200, { "Metadata-Flavor": "Google" }).end("a".repeat(300_000)),
      /more than \d+ bytes/,
    ],
    ["hangs up", (r) => r.destroy(), /gave no answer/],
  ])("that %s is a failure, told without a secret", async (_, fault, why) => {
    const { platform, env, server } = here(name);
    server.fault = fault;
    const error = await failureOf(tokenOf(platform, env));
    expect(error).toMatchObject({ code: "platform_token_failed", reached: "no", retryable: true });
    expect(error.detail).toMatch(why);
    expectNoSecret(error);
  });

  test("that is slow is given up", async () => {
    const { platform, env, server } = here(name);
    server.fault = (response) => response.writeHead(200, { "Metadata-Flavor": "Google" }).write("a");
    const error = await failureOf(tokenOf(platform, env, 100));
    expect(error).toMatchObject({
      code: "platform_token_failed",
      detail: expect.stringContaining("within 100 ms"),
    });
  });
});

function expectNoSecret(error: RelayError): void {
  let all = "";
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    all += `${one.stack} ${JSON.stringify(one)}`;
  }
  for (const secret of [SECRET, TOKEN, VERCELS]) expect(all).not.toContain(secret);
}

describe("what a platform lacks", () => {
  test.each<[string, Platform, Environment, RegExp]>([
    ["GitHub, without leave", github, { GITHUB_ACTIONS: "true" }, /id-token: write/],
    [
      "GitHub, with a URL that is none",
      github,
      {
        GITHUB_ACTIONS: "true",
        ACTIONS_ID_TOKEN_REQUEST_URL: SECRET,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: SECRET,
      },
      /id-token: write/,
    ],
    [
      "GitHub, with a token that can stand in no field",
      github,
      {
        GITHUB_ACTIONS: "true",
        ACTIONS_ID_TOKEN_REQUEST_URL: "http://127.0.0.1:1/",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: `${SECRET}\n${SECRET}`,
      },
      /gave no answer/,
    ],
    ["Vercel, without a token", vercelPlatform(), { VERCEL: "1" }, /vercel env pull/],
    ["Google, nobody there", google, { GCE_METADATA_HOST: "127.0.0.1:1" }, /gave no answer/],
    ["a file that is not there", aws, { HOLDFAST_ID_TOKEN_FILE: "/nowhere" }, /can't be read/],
    ["a folder", aws, { HOLDFAST_ID_TOKEN_FILE: tmpdir() }, /can't be read/],
    ["a file without end", aws, { HOLDFAST_ID_TOKEN_FILE: "/dev/zero" }, /more than 16384 bytes/],
    ["a variable with something else", aws, { HOLDFAST_ID_TOKEN: SECRET }, /no JWT/],
  ])("%s: is told", async (_, platform, env, why) => {
    const error = await failureOf(tokenOf(platform, env));
    expect(error).toMatchObject({ code: "platform_token_failed", detail: expect.stringMatching(why) });
    expectNoSecret(error);
  });

  test("Google's server is not believed where it isn't Google's", async () => {
    const { platform, env } = here("google");
    googles.fault = (response) => response.end(TOKEN);
    expect(await failureOf(tokenOf(platform, env))).toMatchObject({
      detail: expect.stringContaining("is not Google's"),
    });
    googles.fault = (response) => response.writeHead(404).end();
    expect(await failureOf(tokenOf(platform, env))).toMatchObject({
      detail: expect.stringContaining("no service account"),
    });
  });
});

describe("Vercel's token", () => {
  test("is the request's, and is exchanged only where it is for somebody else", async () => {
    const { platform } = here("vercel");
    const before = vercels.seen.length;
    Object.assign(globalThis, { [CONTEXT]: { get: () => ({ headers: { "x-vercel-oidc-token": TOKEN } }) } });
    expect(await tokenOf(platform, { VERCEL_OIDC_TOKEN: VERCELS })).toBe(TOKEN);
    expect(vercels.seen).toHaveLength(before);
    Object.assign(globalThis, {
      [CONTEXT]: { get: () => ({ headers: { "x-vercel-oidc-token": VERCELS } }) },
    });
    expect(platform.isHere({})).toBe(true);
    expect(await tokenOf(platform, {})).toBe(TOKEN);
    expect(vercels.seen).toHaveLength(before + 1);
  });
});

describe("a token that is given", () => {
  test("in a file is read anew each time", async () => {
    for (const token of [TOKEN, VERCELS]) {
      writeFileSync(file, `${token}\n`);
      expect(await askForIdentity(AUDIENCE, {}, { env: { HOLDFAST_ID_TOKEN_FILE: file } })).toBe(token);
    }
  });

  test("in a variable is taken as it is", async () => {
    expect(await askForIdentity(AUDIENCE, {}, { env: { HOLDFAST_ID_TOKEN: TOKEN } })).toBe(TOKEN);
  });

  test("by the app comes before all else, and is asked for with the audience", async () => {
    const identityToken = async (audience: string) => (audience === AUDIENCE ? TOKEN : "");
    expect(await askForIdentity(AUDIENCE, { identityToken }, { env: { HOLDFAST_ID_TOKEN: VERCELS } })).toBe(
      TOKEN,
    );
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    ["fails", () => Promise.reject(new Error("not now")), /gave no token$/],
    ["never comes", () => new Promise(() => {}), /within 100 ms/],
    ["is none", () => Promise.resolve(undefined as unknown as string), /no JWT/],
  ])("by the app that %s is told", async (_, identityToken, why) => {
    const call = askForIdentity(AUDIENCE, { identityToken }, { env: {}, deadlineMs: 100 });
    expect(await failureOf(call)).toMatchObject({
      code: "platform_token_failed",
      detail: expect.stringMatching(why),
    });
  });
});

describe("where a token comes from", () => {
  const all = {
    HOLDFAST_ID_TOKEN_FILE: file,
    HOLDFAST_ID_TOKEN: TOKEN,
    GITHUB_ACTIONS: "true",
    VERCEL: "1",
    FLY_APP_NAME: "app",
    K_SERVICE: "app",
    AWS_LAMBDA_FUNCTION_NAME: "app",
  };
  test.each<[string, Environment, string]>([
    ["a file before all", all, "HOLDFAST_ID_TOKEN_FILE"],
    ["then a variable", { ...all, HOLDFAST_ID_TOKEN_FILE: "" }, "HOLDFAST_ID_TOKEN"],
    [
      "a job before where it runs",
      { FLY_APP_NAME: "app", VERCEL: "1", GITHUB_ACTIONS: "true" },
      "GitHub Actions",
    ],
    ["a function before where it runs", { AWS_LAMBDA_FUNCTION_NAME: "f", VERCEL: "1" }, "Vercel"],
    ["a development machine", { VERCEL_OIDC_TOKEN: TOKEN }, "Vercel"],
    ["Cloud Run", { K_SERVICE: "app" }, "Google Cloud"],
    ["a job of Cloud Run", { CLOUD_RUN_JOB: "job" }, "Google Cloud"],
    ["Lambda", { AWS_LAMBDA_FUNCTION_NAME: "f", AWS_ACCESS_KEY_ID: "a" }, "AWS"],
    ["ECS", { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/v2" }, "AWS"],
    ["whatever is named", { ...all, HOLDFAST_PLATFORM: "aws" }, "AWS"],
    ["a machine of Google's, where it is named", { HOLDFAST_PLATFORM: "google" }, "Google Cloud"],
  ])("%s", (_, env, title) => {
    expect(findPlatform(env).title).toBe(title);
  });

  test("Fly takes its socket, too", () => {
    expect(flyPlatform(fly.at).isHere({ FLY_APP_NAME: "app" })).toBe(true);
    expect(flyPlatform(join(dir, "none")).isHere({ FLY_APP_NAME: "app" })).toBe(false);
  });

  test.each<Environment>([
    {},
    { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" },
    { FLY_APP_NAME: "app" },
    { HOLDFAST_PLATFORM: "" },
  ])("nowhere: %o", (env) => {
    expect(() => findPlatform(env)).toThrow(
      expect.objectContaining({
        code: "platform_token_missing",
        detail: expect.stringMatching(
          /HOLDFAST_ID_TOKEN_FILE; .*GITHUB_ACTIONS.*K_SERVICE.*HOLDFAST_PLATFORM names it$/,
        ),
      }),
    );
  });

  test("not by a name that nobody knows", () => {
    for (const name of ["heroku", "constructor"]) {
      expect(() => findPlatform({ HOLDFAST_PLATFORM: name })).toThrow(
        expect.objectContaining({
          code: "request_invalid",
          detail: expect.stringContaining("github, vercel, fly, google, aws"),
        }),
      );
    }
  });
});
