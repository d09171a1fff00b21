import { RelayError } from "../../protocol/errors.ts";
import { basicCredentials, bearerCredentials, haveCredentialForm } from "../../protocol/proxy-credentials.ts";
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
  if (credential === undefined || !haveCredentialForm(basic?.user, credential)) {
    throw new RelayError(
      "proxy_credentials_invalid",
      "it is neither Basic with a client's id and its token or handle, nor Bearer with a token",
    );
  }
  return { user: basic?.user, credential, from: from ?? "" };
}
