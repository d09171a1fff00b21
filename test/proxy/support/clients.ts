import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Ran } from "../../support/run.ts";
import { runOnClient } from "./client.ts";
import { type ProxyScheme, type ProxyStack, proxyUrl } from "./stack.ts";

/** How a target is spoken to. */
export type TargetScheme = "https" | "http";

/** One client that people have, as a program that writes what it gets. */
export interface RealClient {
  readonly name: string;
  /** The proxies that it can speak to, by their URLs' schemes. */
  readonly schemes: readonly ProxyScheme[];
  /** Whether it asks for a tunnel for HTTP as well; without, it sends the absolute form. */
  readonly tunnelsHttp?: boolean;
  /** The targets that it reaches, by their URLs' schemes: both unless told. */
  readonly targets?: (proxy: ProxyScheme) => readonly TargetScheme[];
  /** What it keeps to itself of a refused tunnel; it shows the status and the reason's code unless told. */
  readonly hides?: "status" | "code";
  /** What it says in place of a 407, where it hides more of that, of tunnels and of what it sends in the absolute form. */
  readonly says407?: { readonly tunnel?: string; readonly absolute?: string };
  /** Whether it tries one address of the proxy's name alone. */
  readonly oneAddress?: boolean;
  /** The program; the URL that it gets comes behind it. */
  readonly command: (dir: string) => readonly string[];
  /** Variables that it reads besides PROXY_URL. */
  readonly env?: (proxy: string) => Readonly<Record<string, string>>;
}

const PROGRAMS = resolve(import.meta.dirname, "../programs");
const EXAMPLES = resolve(import.meta.dirname, "../../../examples/proxy");

/** Debian's own, whatever else is installed. */
const PYTHON = "/usr/bin/python3";

const program = (runner: string, file: string) => () => [runner, join(PROGRAMS, file)];

/** What is shown to users, as it is. */
const example = (runner: string, file: string) => () => [runner, join(EXAMPLES, file)];

/** The variables that most tools read. */
const lowerCase = (proxy: string) => ({ http_proxy: proxy, https_proxy: proxy });

/** And those that Node reads where it is told to. */
const ofNode = (proxy: string) => ({ NODE_USE_ENV_PROXY: "1", HTTP_PROXY: proxy, HTTPS_PROXY: proxy });

const TLS_OR_PLAIN = ["https", "http"] as const;

export const CLIENTS: readonly RealClient[] = [
  { name: "requests", schemes: TLS_OR_PLAIN, command: example(PYTHON, "with_requests.py") },
  { name: "urllib", schemes: ["http"], command: program(PYTHON, "with_urllib.py") },
  { name: "aiohttp", schemes: TLS_OR_PLAIN, command: program(PYTHON, "with_aiohttp.py") },
  {
    name: "curl",
    schemes: [...TLS_OR_PLAIN, "socks5h"],
    command: () => ["curl", "-sS", "-v", "--fail-with-body"],
    env: lowerCase,
  },
  {
    name: "axios with https-proxy-agent for HTTPS",
    schemes: TLS_OR_PLAIN,
    targets: () => ["https"],
    command: example(process.execPath, "axios.mjs"),
  },
  {
    name: "axios with https-proxy-agent for both",
    schemes: TLS_OR_PLAIN,
    tunnelsHttp: true,
    command: program(process.execPath, "with-axios.js"),
  },
  {
    name: "axios with its own option",
    schemes: TLS_OR_PLAIN,
    // It looks for the target's name in the proxy's certificate.
    targets: (proxy) => (proxy === "https" ? ["https"] : ["https", "http"]),
    command: program(process.execPath, "with-axios-proxy.js"),
  },
  {
    name: "undici's ProxyAgent",
    schemes: TLS_OR_PLAIN,
    hides: "code",
    says407: { absolute: "Proxy Authentication Required (407)" },
    command: program(process.execPath, "with-undici.js"),
  },
  {
    name: "Node's fetch",
    schemes: TLS_OR_PLAIN,
    tunnelsHttp: true,
    hides: "code",
    says407: { absolute: "Proxy Authentication Required (407)" },
    command: program(process.execPath, "with-fetch.js"),
    env: ofNode,
  },
  {
    name: "Node's https",
    schemes: TLS_OR_PLAIN,
    command: program(process.execPath, "with-https.ts"),
    env: ofNode,
  },
  // urllib, Erlang's, Java's and wget speak no TLS to a proxy.
  { name: "Erlang's httpc", schemes: ["http"], command: program("escript", "with_httpc.escript") },
  { name: "Elixir, by httpc", schemes: ["http"], command: example("elixir", "httpc.exs") },
  {
    name: "Java's HttpClient",
    schemes: ["http"],
    hides: "code",
    // It tries the same password until it gives up.
    says407: { tunnel: "too many authentication attempts", absolute: "too many authentication attempts" },
    oneAddress: true,
    command: (dir) => java(dir, "WithHttpClient"),
  },
  {
    name: "Java's HttpURLConnection",
    schemes: ["http"],
    oneAddress: true,
    command: (dir) => java(dir, "WithUrlConnection"),
  },
  {
    name: "Go's net/http",
    schemes: TLS_OR_PLAIN,
    hides: "status",
    command: (dir) => [join(dir, "built/with-go")],
  },
  {
    name: "wget",
    schemes: ["http"],
    hides: "status",
    command: () => ["wget", "-nv", "-O", "-"],
    env: lowerCase,
  },
];

function java(dir: string, main: string): string[] {
  return [
    "java",
    // Little programs: no time for the second compiler.
    "-XX:TieredStopAtLevel=1",
    `-Djavax.net.ssl.trustStore=${join(dir, "built/trusted.p12")}`,
    "-Djavax.net.ssl.trustStorePassword=changeit",
    "-cp",
    join(dir, "built"),
    main,
  ];
}

/** The targets that a client reaches through a proxy. */
export function targetsOf({ targets }: RealClient, proxy: ProxyScheme): readonly TargetScheme[] {
  return targets?.(proxy) ?? ["https", "http"];
}

/** Compiles what has to be compiled. */
export async function buildClients({ dir, ca }: ProxyStack): Promise<void> {
  const built = join(dir, "built");
  mkdirSync(built);
  const run = promisify(execFile);
  const sources = ["WithHttpClient.java", "WithUrlConnection.java"].map((name) => join(PROGRAMS, name));
  await Promise.all([
    run("javac", ["-d", built, ...sources]),
    run("keytool", [
      "-importcert",
      "-noprompt",
      "-alias",
      "tests",
      "-file",
      ca,
      "-keystore",
      join(built, "trusted.p12"),
      "-storepass",
      "changeit",
    ]),
    run("go", ["build", "-o", join(built, "with-go"), "main.go"], {
      cwd: join(PROGRAMS, "go"),
      env: { ...process.env, GO111MODULE: "off", GOFLAGS: "" },
    }),
  ]);
}

/** Has a client get a URL. */
export function get(stack: ProxyStack, client: RealClient, proxy: string, url: string): Promise<Ran> {
  return runOnClient(stack, [...client.command(stack.dir), url], {
    env: { PROXY_URL: proxy, ...client.env?.(proxy) },
  });
}

/** What a client was told by the target: the last line of what it wrote. */
export function told({ stdout }: Ran): unknown {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

/** The user's proxy URL: with the handle, which every client can carry. */
export function userUrl(stack: ProxyStack, scheme: ProxyScheme, host?: string): string {
  const { client, handle } = stack.user;
  return proxyUrl(scheme, { client, password: handle }, host);
}
