import type { IncomingMessage } from "node:http";
import { RelayError } from "../../protocol/errors.ts";
import { basicCredentials, bearerCredentials } from "../../protocol/proxy-credentials.ts";
import type { ProxyUser } from "./authorizer.ts";

/**
 * Who a request to an HTTP proxy says that it is from.
 * @throws RelayError `proxy_credentials_missing`, `proxy_credentials_invalid`
 */
export function proxyUser({ headersDistinct, socket }: IncomingMessage): ProxyUser {
  const [value, ...more] = headersDistinct["proxy-authorization"] ?? [];
  if (value === undefined) {
    throw new RelayError("proxy_credentials_missing", "the request has no Proxy-Authorization");
  }
  if (more.length > 0) {
    throw new RelayError("proxy_credentials_invalid", "there is more than one Proxy-Authorization field");
  }
  const from = socket.remoteAddress ?? "";
  const basic = basicCredentials(value);
  if (basic !== undefined) return { user: basic.user, credential: basic.password, from };
  const bearer = bearerCredentials(value);
  if (bearer !== undefined) return { user: undefined, credential: bearer, from };
  throw new RelayError("proxy_credentials_invalid", "Proxy-Authorization is neither Basic nor Bearer");
}
