/** A PEM: its text, or the path of a file that workerd reads when it starts. */
export type Pem = string | { readonly embed: string };

/** How a worker is run by workerd on a host of one's own. Paths are relative to the configuration's own file. */
export interface WorkerdConfig {
  /** The bundle, as wrangler builds it. */
  readonly module: string;
  /** `host:port` of the listener. */
  readonly address: string;
  /** Folder for the Durable Objects' storage. */
  readonly storage: string;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  /** Plain variables; objects are given to the worker as parsed JSON. */
  readonly vars: Readonly<Record<string, unknown>>;
  /** Names of secrets, which workerd takes from its environment: no file and no argument holds them. */
  readonly secrets: readonly string[];
  /** PEM of authorities that the worker's outgoing TLS trusts besides the public ones. */
  readonly ca?: readonly Pem[];
  /** Serve https with this; without it plain http, for a loopback address or a proxy in front. */
  readonly tls?: { readonly cert: Pem; readonly key: Pem } | undefined;
}

/** The text of a configuration for `workerd serve`. */
export function workerdConfig(options: WorkerdConfig): string {
  const { module, address, storage, vars, secrets, ca = [], tls } = options;
  const bindings = [
    `(name = "REGISTRY", durableObjectNamespace = "Registry")`,
    `(name = "HEALTH", durableObjectNamespace = "Health")`,
    `(name = "DELIVERIES", durableObjectNamespace = "Deliveries")`,
    ...Object.entries(vars).map(([name, value]) =>
      typeof value === "string"
        ? `(name = "${name}", text = ${quote(value)})`
        : `(name = "${name}", json = ${quote(JSON.stringify(value))})`,
    ),
    ...secrets.map((name) => `(name = "${name}", fromEnvironment = "${name}")`),
  ];
  const socket =
    tls === undefined
      ? "http = ()"
      : `https = (options = (), tlsOptions = (keypair = (privateKey = ${pem(tls.key)}, certificateChain = ${pem(tls.cert)})))`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "storage", disk = (path = ${quote(storage)}, writable = true)),
    (name = "internet", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = true, trustedCertificates = [${ca.map(pem).join(", ")}])
    )),
  ],
  sockets = [(name = "http", address = ${quote(address)}, ${socket}, service = "edge")]
);
const edge :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed ${quote(module)})],
  compatibilityDate = ${quote(options.compatibilityDate)},
  compatibilityFlags = [${options.compatibilityFlags.map(quote).join(", ")}],
  durableObjectNamespaces = [
    (className = "Registry", uniqueKey = "holdfast-registry", enableSql = true),
    (className = "Health", uniqueKey = "holdfast-health", enableSql = true),
    (className = "Deliveries", uniqueKey = "holdfast-deliveries", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  globalOutbound = "internet",
  bindings = [${bindings.join(",\n    ")}]
);
`;
}

function pem(value: Pem): string {
  return typeof value === "string" ? quote(value) : `embed ${quote(value.embed)}`;
}

/** Cap'n Proto takes C-like string literals. */
function quote(text: string): string {
  return JSON.stringify(text);
}
