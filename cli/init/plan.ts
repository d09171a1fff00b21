import { posix } from "node:path";
import type { JWK } from "jose";
import { type WorkerdConfig, workerdConfig } from "../workerd-config.ts";
import type { Answers, CertificateFiles, ClientAnswer, SelfHosted } from "./answers.ts";
import { grantKeysOf, KEY_FILES, type Keys, publicHalf } from "./keys.ts";
import { CERTIFICATES, EDGE_STATE, HOST_CONFIG } from "./layout.ts";
import { nodeFile, nodesOf, type Since } from "./nodes.ts";
import { proxyUrlsOf } from "./proxy.ts";
import { compatibilityOf, wranglerToml } from "./wrangler-toml.ts";

/** A file of a deployment. */
export interface PlannedFile {
  readonly text: string;
  /** Holds a secret: nobody but its owner may read it. */
  readonly secret: boolean;
}

/** What the files are made from, besides answers and keys. */
export interface PlanContext {
  /** The text of the project's own wrangler.toml. */
  readonly wrangler: string;
  /** Path of the worker's entry from the deployment's folder. */
  readonly main: string;
  /** The worker's bundle, for an edge of one's own. */
  readonly bundle: string | undefined;
  readonly since: Since;
}

/** What is remembered between two runs, and needed by `holdfast register`. */
export const STATE_FILE = "state.json";

/** Every file of a deployment by its path below the deployment's folder. */
export async function planFiles(
  answers: Answers,
  keys: Keys,
  context: PlanContext,
): Promise<ReadonlyMap<string, PlannedFile>> {
  const files = new Map<string, PlannedFile>();
  const open = (path: string, text: string) => files.set(path, { text, secret: false });
  const secret = (path: string, text: string) => files.set(path, { text, secret: true });
  const { grantMaster, storage, edgeSigning, operator } = keys;

  secret(KEY_FILES.grantMaster, json(grantMaster));
  secret(KEY_FILES.storage, json({ keys: storage }));
  secret(KEY_FILES.edgeSigning, json(edgeSigning));
  secret(KEY_FILES.operator, json(operator));
  for (const [id, key] of keys.nodes) secret(KEY_FILES.node(id), json(key));
  for (const [id, key] of keys.clients) secret(KEY_FILES.client(id), json(key));

  const nodes = nodesOf(answers, keys.nodes, context.since);
  const proxies = answers.proxy === undefined ? undefined : proxyUrlsOf(answers.proxy);
  const secrets = {
    GRANT_MASTER_KEY: grantMaster.keys[grantMaster.edge]!,
    STORAGE_KEYS: storage.join(","),
    EDGE_SIGNING_KEY: JSON.stringify(edgeSigning),
    OPERATOR_KEYS: JSON.stringify({ keys: [{ ...publicHalf(operator), kid: operator.kid }] }),
  };
  if (answers.selfHosted === undefined) {
    open(
      "wrangler.toml",
      wranglerToml(context.wrangler, { main: context.main, edge: answers.edge, nodes, proxies }),
    );
    secret("secrets.json", json(secrets));
  } else {
    const vars = {
      EDGE_ORIGIN: answers.edge,
      NODES: nodes,
      ...(proxies !== undefined && { PROXY_URLS: proxies }),
    };
    open(
      "edge/workerd.capnp",
      workerdConfig(edgeConfig(answers.selfHosted, answers, vars, secrets, context)),
    );
    open("edge/index.js", context.bundle ?? "");
    secret("edge/edge.env", environment(secrets));
  }

  for (const node of answers.nodes) {
    const grantKeys = await grantKeysOf(grantMaster, node.id);
    const names = ["grant.key", "grant-next.key"].slice(0, grantKeys.length);
    open(`nodes/${node.id}/node.json`, json(nodeFile(node, answers, keys.nodes, names)));
    names.forEach((name, index) => secret(`nodes/${node.id}/${name}`, `${grantKeys[index]}\n`));
    secret(`nodes/${node.id}/signing.jwk`, json(keys.nodes.get(node.id)));
  }

  for (const client of answers.clients) {
    const key = keys.clients.get(client.id);
    open(`clients/${client.id}.json`, json(recordOf(client, key)));
    // A client that keeps its own key has to put it in by itself.
    if (key !== undefined || client.keys === undefined) {
      const user = key === undefined ? client.id : `${client.id}:${key.d}`;
      secret(`clients/${client.id}.env`, `HOLDFAST_URL=${answers.edge.replace("://", `://${user}@`)}\n`);
    }
  }
  const clients = answers.clients.map(({ id }) => id);
  open(STATE_FILE, json({ edge: answers.edge, clients, since: context.since }));
  // Half of it is secret: none of it belongs into a repository.
  open(".gitignore", "*\n");
  return files;
}

/** What an answer leaves out is no member of the record's text either. */
function recordOf({ id, keys, ...others }: ClientAnswer, key: JWK | undefined) {
  return { id, keys: keys ?? (key === undefined ? [] : [publicHalf(key)]), ...others };
}

function edgeConfig(
  edge: SelfHosted,
  answers: Answers,
  vars: Readonly<Record<string, unknown>>,
  secrets: Readonly<Record<string, string>>,
  context: PlanContext,
): WorkerdConfig {
  const { date, flags } = compatibilityOf(context.wrangler);
  const tls = certificateOf(edge, answers);
  return {
    module: "index.js",
    address: edge.listen,
    storage: edge.state ?? EDGE_STATE,
    compatibilityDate: date,
    compatibilityFlags: flags,
    vars: {
      ...vars,
      ...(edge.clientAddressHeader !== undefined && { CLIENT_ADDRESS_HEADER: edge.clientAddressHeader }),
    },
    secrets: Object.keys(secrets),
    ...(edge.ca !== undefined && { ca: [{ embed: fromEdgeFolder(edge.ca) }] }),
    ...(tls !== undefined && {
      tls: { cert: { embed: fromEdgeFolder(tls.cert) }, key: { embed: fromEdgeFolder(tls.key) } },
    }),
  };
}

function certificateOf({ certificate }: SelfHosted, { edge }: Answers): CertificateFiles | undefined {
  return certificate === "files" ? CERTIFICATES.files(new URL(edge).hostname) : certificate;
}

/** workerd reads files by their path from its configuration's own folder. */
function fromEdgeFolder(path: string): string {
  return posix.isAbsolute(path) ? posix.relative(`${HOST_CONFIG}/edge`, path) : path;
}

/** systemd's EnvironmentFile, which a shell reads too. None of the values holds a single quote. */
function environment(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join("");
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
