import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JWK } from "jose";
import type { Operator } from "../../client/admin.ts";
import { RelayError } from "../../protocol/errors.ts";
import { importPrivateKey } from "../../protocol/keys.ts";
import { KEY_FILES } from "./keys.ts";
import { STATE_FILE } from "./plan.ts";

/**
 * Who may write the registry of the deployment that a folder of `holdfast init` holds.
 * @throws RelayError `request_invalid`, naming the folder
 */
export async function readOperator(dir: string): Promise<Operator> {
  const json = (path: string) => JSON.parse(readFileSync(join(dir, path), "utf8")) as unknown;
  try {
    const { edge } = json(STATE_FILE) as { edge: string };
    const { kid, d } = json(KEY_FILES.operator) as JWK;
    return { edge, keyId: kid ?? "", key: await importPrivateKey(d ?? "") };
  } catch (cause) {
    const { code = "it can't be read" } = cause as NodeJS.ErrnoException;
    throw new RelayError(
      "request_invalid",
      `that takes the operator key, and ${dir} has none (${code}): name the deployment's folder by --out`,
    );
  }
}
