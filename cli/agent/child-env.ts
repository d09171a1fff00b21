type Variables = Readonly<Record<string, string | undefined>>;

/** Where the local proxies are, with their password. */
export interface ProxyUrls {
  readonly http: string;
  /** socks5h: the name is resolved by the proxy. */
  readonly socks: string;
}

/** What is changed of the environment that the agent itself has. */
export interface ChildEnvOptions {
  /** Undefined: none are told of. */
  readonly proxies?: ProxyUrls | undefined;
  /** Over all else: what leads names here. */
  readonly names?: Variables | undefined;
  /** Whether the child is kept from using the relay by itself. */
  readonly hideUrl?: boolean | undefined;
}

/** What never goes through a proxy: this machine itself. */
const LOOPBACK = ["localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "127.0.0.0/8", "::1"];

/** Nor what tells this machine what it is: such endpoints refuse what looks forwarded. */
const METADATA = [
  "metadata.google.internal",
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "fd00:ec2::254",
  "fd00:ec2::23",
];

/** What the child would use the relay with. */
const OWN = ["HOLDFAST_URL", "HOLDFAST_ID_TOKEN", "HOLDFAST_ID_TOKEN_FILE"];

/**
 * The child's environment. The agent's proxies take the place of any that were set before, in both spellings; what was set
 * in NO_PROXY stays, with this machine's own names before it.
 */
export function childEnvironment(
  env: Variables,
  { proxies, names, hideUrl }: ChildEnvOptions,
): Record<string, string> {
  const changed: Record<string, string | undefined> = { ...env };
  if (proxies !== undefined) {
    const both = {
      HTTP_PROXY: proxies.http,
      HTTPS_PROXY: proxies.http,
      ALL_PROXY: proxies.socks,
      NO_PROXY: noProxy(env),
    };
    for (const [name, value] of Object.entries(both)) {
      changed[name] = value;
      changed[name.toLowerCase()] = value;
    }
    changed["NODE_USE_ENV_PROXY"] = "1";
    changed["QUOTAGUARDSTATIC_URL"] = proxies.http;
  }
  Object.assign(changed, names);
  if (hideUrl === true) for (const name of OWN) delete changed[name];
  return Object.fromEntries(
    Object.entries(changed).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** The hosts of the relay's that the user's own NO_PROXY keeps from the proxies. */
export function keptFromProxies(env: Variables, hosts: readonly string[]): string[] {
  const entries = own(env).map((entry) => entry.toLowerCase().replace(/^\*?\./, ""));
  return hosts.filter((host) => {
    const name = host.replace(/^\*\./, "");
    return entries.some((entry) => entry === "*" || name === entry || name.endsWith(`.${entry}`));
  });
}

function noProxy(env: Variables): string {
  return [...new Set([...LOOPBACK, ...METADATA, ...own(env)])].join(",");
}

function own(env: Variables): string[] {
  return [env["NO_PROXY"], env["no_proxy"]]
    .flatMap((list) => (list ?? "").split(/[\s,]+/))
    .filter((entry) => entry !== "");
}
