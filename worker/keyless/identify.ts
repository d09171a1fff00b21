import type { PlatformIdentity } from "../../protocol/certificates.ts";
import { RelayError } from "../../protocol/errors.ts";
import type { Client } from "../clients.ts";
import type { Edge } from "../edge.ts";
import { provePlatformToken, type UnprovenToken, untrusted } from "./platform-token.ts";
import { judgeToken } from "./rules.ts";

/**
 * Who a platform says that the holder of its token is, and the id of the client's rule for it, where the client trusts that platform and lets that workload in. An
 * issuer that the client does not trust is never asked for anything.
 *
 * @throws RelayError `platform_token_invalid`, `platform_token_refused`, `issuer_unavailable`
 */
export async function identify(
  token: UnprovenToken,
  client: Client,
  edge: Edge,
): Promise<{ readonly identity: PlatformIdentity; readonly rule: string }> {
  const { iss, kid, claims } = token;
  if (!client.issuers.some(({ issuer }) => issuer === iss)) throw untrusted();
  const { origin } = edge.config;
  const key = await edge.issuerKeys.find(iss, kid, origin.startsWith("http:"));
  await provePlatformToken(token, key, edge.provenTokens);
  const verdict = judgeToken(client.issuers, claims, origin);
  if ("identity" in verdict) {
    const { identity, rule } = verdict;
    return { identity, rule: client.ruleIds[client.issuers.indexOf(rule)]! };
  }
  // Whoever has such a token knows its issuer already; what other workloads' tokens hold is not told.
  throw new RelayError(
    "platform_token_refused",
    `the platform's token is not as the client's record wants it, in ${verdict.differs.join(", ")}`,
  );
}
