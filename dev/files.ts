import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { base64url } from "jose";
import { deriveGrantKey } from "../protocol/grants.ts";
import type { DevKeys } from "./keys.ts";

/** The files that a development stack's parts are started with. */

/** The id of the operator's key. */
export const OPERATOR_KEY_ID = "dev-operator";

/** What an operator's commands read, where `holdfast init` has it: they take this folder by `--out`. */
export function writeDeployment(dir: string, edge: string, keys: DevKeys): void {
  const operatorFile = join(dir, "keys/operator.jwk");
  mkdirSync(dirname(operatorFile), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, "state.json"), JSON.stringify({ edge, clients: [] }));
  const key = { kid: OPERATOR_KEY_ID, d: keys.operator.privateKey };
  writeFileSync(operatorFile, JSON.stringify(key), { mode: 0o600 });
}

/** Writes what a node is started with into a folder of its own; `config` names the files. Returns the configuration's path. */
export async function writeNodeFiles(
  nodeDir: string,
  id: string,
  keys: DevKeys,
  config: Readonly<Record<string, unknown>>,
): Promise<string> {
  mkdirSync(nodeDir, { recursive: true, mode: 0o700 });
  const grantKey = await deriveGrantKey(Uint8Array.from(base64url.decode(keys.grantMasterKey)), id);
  const files = {
    "grant.key": base64url.encode(grantKey),
    "signing.jwk": JSON.stringify(keys.nodeSigningKeys[id]),
    "cert.pem": keys.cert,
    "key.pem": keys.key,
    "ca.pem": keys.ca,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(nodeDir, name), text, { mode: 0o600 });
  const file = join(nodeDir, "node.json");
  writeFileSync(file, JSON.stringify({ id, ...NODE_FILES, ...config }, null, 2));
  return file;
}

/** The keys of a node's configuration that name what `writeNodeFiles` writes beside it. */
const NODE_FILES = {
  targetCa: "ca.pem",
  relayCa: "ca.pem",
  signingKeyFile: "signing.jwk",
  state: "state",
  grantKeyFiles: ["grant.key"],
};
