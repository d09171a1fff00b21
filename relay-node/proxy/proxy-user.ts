import { RelayError } from "../../protocol/errors.ts";
import { basicCredentials, bearerCredentials } from "../../protocol/proxy-credentials.ts";
import type { ProxyRequest } from "../../protocol/proxy-requests.ts";
import type { ProxyUser } from "./authorizer.ts";

/**
 * Who a request to the proxy says it comes from, by its field `Proxy-Authorization`.
 *
 * @param from the address that its connection came from
 * @throws RelayError `request_invalid`, `proxy_credentials_missing`, `proxy_credentials_invalid`
 */
export function proxyUser({ fields }: ProxyRequest, from: string | undefined): ProxyUser {
  const values = fields.filter(([name]) => name.toLowerCase() === "proxy-authorization");
  if (values.length > 1) {
    throw new RelayError("request_invalid", "there is more than one Proxy-Authorization field");
  }
  const value = values[0]?.[1];
  if (value === undefined) {
    throw new RelayError("proxy_credentials_missing", "the request has no Proxy-Authorization field");
  }
  const basic = basicCredentials(value);
  const credential = basic?.password ?? bearerCredentials(value);
  if (credential === undefined) {
    const why = "it is neither Basic with user and password, nor Bearer with a token";
    throw new RelayError("proxy_credentials_invalid", why);
  }
  return { user: basic?.user, credential, from: from ?? "" };
}
