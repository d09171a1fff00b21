import { resolve } from "node:path";
import { decodeJwt } from "jose";
import type { Operator } from "../client/admin.ts";
import { fetchEgressList } from "../client/egress-list.ts";
import { createScopeToken, isRelayError, RelayError, type ScopeOptions } from "../client/index.ts";
import { parseRelayUrl } from "../protocol/keys.ts";
import { SCOPE_TOKEN_SECONDS } from "../protocol/limits.ts";
import { DEFAULT_OUT } from "./commands/init.ts";
import { readOperator } from "./init/operator.ts";
import { makeHandle } from "./make-handle.ts";
import { moment } from "./table.ts";

/** What commands share that print a URL with a credential in it: the URL goes to stdout, and all else to stderr. */

/** Writes one line to stderr. */
export function tell(line: string): void {
  process.stderr.write(`holdfast: ${line}\n`);
}

/**
 * The operator of a deployment's folder.
 * @throws RelayError `request_invalid` where the folder is none, or another edge's
 */
export async function operatorFor(dir: string, edge: string): Promise<Operator> {
  const operator = await readOperator(dir);
  if (operator.edge === edge) return operator;
  throw new RelayError("request_invalid", `${dir} is of ${operator.edge}, and HOLDFAST_URL names ${edge}`);
}

/**
 * Signs a scope token, or makes a handle of one where there is an operator, and tells what it opens and how it ends.
 *
 * @param dir the operator's folder
 * @throws RelayError as `createScopeToken` and `makeHandle`
 */
export async function makeCredential(
  relayUrl: string | undefined,
  options: Omit<ScopeOptions, "now">,
  { dir, operator }: { readonly dir: string; readonly operator: Operator | undefined },
): Promise<string> {
  const { allow, ttlSeconds } = options;
  const token = await createScopeToken(relayUrl, options);
  const made = operator === undefined ? undefined : await makeHandle(operator, token);
  const { exp, jti } = decodeJwt(token);
  const { clientId } = parseRelayUrl(relayUrl);
  tell(`opens ${allow.join(" and ")} for client ${clientId}, until ${moment(exp!)}`);
  if (made === undefined) {
    const revoke = `holdfast token ${revokeOption(jti!)} --client ${clientId}`;
    tell(`its token's jti is ${jti}: \`${revoke}\` ends it, with the deployment's operator key`);
  } else {
    const inFolder = dir === resolve(DEFAULT_OUT) ? "" : ` --out ${dir}`;
    tell(`its handle's id is ${made.id}: \`holdfast handle ${revokeOption(made.id)}${inFolder}\` ends it`);
  }
  if (ttlSeconds > SCOPE_TOKEN_SECONDS) {
    tell(
      "that is more than 90 days: the edge refuses it but where the client's record has a longer scopeSeconds",
    );
  }
  return made?.handle ?? token;
}

/** An id may begin with a dash, and then looks like an option of its own. */
function revokeOption(id: string): string {
  return id.startsWith("-") ? `--revoke=${id}` : `--revoke ${id}`;
}

/** What to put on an allowlist. It is no reason to give no URL that it can't be told. */
export async function egressLine(
  edge: string,
  nodes: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<string> {
  try {
    const { addresses } = await fetchEgressList(edge, { signal });
    const used = addresses.filter(({ node }) => nodes === undefined || nodes.includes(node));
    const list = [...new Set(used.map(({ address }) => address))];
    return list.length === 0
      ? `no address is published for ${nodes?.join(", ") ?? "any node"}: \`holdfast ips\` tells the nodes that there are`
      : `targets see ${list.join(", ")}: \`holdfast ips\` tells more of them`;
  } catch (error) {
    const why = isRelayError(error) ? `${error.code}: ${error.detail}` : (error as Error).message;
    return `the addresses that targets see can't be told now (${why}): ask \`holdfast ips\``;
  }
}
