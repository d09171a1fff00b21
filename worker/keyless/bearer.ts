import { checkRequestClaims, type RequestClaims } from "../../protocol/claims.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { REQUEST_TOKEN_MAX_SECONDS } from "../../protocol/limits.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { holdToCeiling } from "../ceilings.ts";
import type { Client } from "../clients.ts";
import type { Edge, Env } from "../edge.ts";
import { atSendersCost } from "../strangers.ts";
import { identify } from "./identify.ts";
import { readPlatformToken } from "./platform-token.ts";

/**
 * Proves a raw request that carries a platform's token as it is, where the client's record says that it may. What a request
 * token would say, the request itself says, and the edge gives it its id: nothing is signed, and the token is good again.
 *
 * @param now seconds since 1970
 * @throws RelayError `token_missing`, `token_expired`, `token_premature`, `token_malformed`, `request_invalid`, `client_unknown`,
 *   `rate_limited`, and as `identify`
 */
export async function proveBearer(
  request: Request,
  edge: Edge,
  env: Env,
  now: number,
): Promise<{
  readonly client: Client;
  readonly claims: RequestClaims;
  readonly key: undefined;
  readonly rule: string;
}> {
  const { headers } = request;
  const clientId = headers.get(WIRE.client) ?? "";
  if (!CLIENT_ID.test(clientId)) throw new RelayError("request_invalid", "Relay-Client is no client's id");
  const url = headers.get(WIRE.target);
  if (url === null) throw new RelayError("request_invalid", "Relay-Target does not say where to");
  if (headers.has(WIRE.envelope)) {
    throw new RelayError(
      "request_invalid",
      "an envelope needs a request token: get a certificate by POST /token",
    );
  }
  const bearer = /^Bearer (\S+)$/i.exec(headers.get(WIRE.authorization) ?? "")?.[1];
  if (bearer === undefined) throw new RelayError("token_missing", "the request carries no platform's token");
  const { client, rule } = await atSendersCost(request, edge, env, async (admit) => {
    const token = readPlatformToken(bearer, now);
    admit(edge.knows(clientId));
    const named = await edge.client(clientId, env, now * 1_000);
    if (!named.bearer) {
      throw new RelayError(
        "platform_token_refused",
        "this client's platform tokens are not taken as they are: get a certificate by POST /token",
      );
    }
    const { rule: trusting } = await identify(token, named, edge);
    return { client: named, rule: trusting };
  });
  await holdToCeiling(client, env);
  const { origin } = edge.config;
  const claims = {
    iss: clientId,
    aud: origin,
    act: "fetch",
    iat: now,
    exp: now + REQUEST_TOKEN_MAX_SECONDS,
    jti: newRequestId(),
    htm: request.method,
    url,
  };
  return { client, claims: checkRequestClaims(claims, origin, now), key: undefined, rule };
}
