import { RelayError } from "../../protocol/errors.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import { TOKEN_FORM_MAX_BYTES } from "../limits.ts";
import { readAtMost } from "../read-at-most.ts";

const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange";

/** What RFC 8693 section 3 calls a JWT: what is given here, and what is asked for where the caller says. */
export const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token";

/** What is asked for by `POST /token`. */
export interface TokenForm {
  readonly clientId: string;
  /** The platform's token. */
  readonly subjectToken: string;
}

/**
 * Reads the body of a token exchange (RFC 8693 section 2.1).
 * @throws RelayError `request_invalid`, `too_large`; no message quotes the token
 */
export async function readTokenForm(request: Request): Promise<TokenForm> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new RelayError("request_invalid", "the body is no application/x-www-form-urlencoded");
  }
  const length = Number(request.headers.get("content-length") ?? 0);
  const body =
    length > TOKEN_FORM_MAX_BYTES ? undefined : await readAtMost(request.body, TOKEN_FORM_MAX_BYTES);
  if (body === undefined) {
    throw new RelayError("too_large", `a token's exchange has at most ${TOKEN_FORM_MAX_BYTES} bytes`);
  }
  return parseTokenForm(new TextDecoder().decode(body));
}

/**
 * The same of its text. Members that are not known are passed over, as RFC 6749 section 3.2 wants it.
 * @throws RelayError `request_invalid`; every problem at once
 */
export function parseTokenForm(text: string): TokenForm {
  const form = new URLSearchParams(text);
  const problems: string[] = [];
  const one = (name: string): string => {
    const values = form.getAll(name);
    if (values.length > 1) problems.push(`${name} is there more than once`);
    return values[0] ?? "";
  };
  const expect = (name: string, allowed: readonly string[]) => {
    if (!allowed.includes(one(name))) problems.push(`${name} is not ${allowed.join(" or ")}`);
  };
  expect("grant_type", [GRANT_TYPE]);
  expect("subject_token_type", [JWT_TYPE, ID_TOKEN_TYPE]);
  if (form.has("requested_token_type")) expect("requested_token_type", [JWT_TYPE]);
  if (form.has("actor_token")) problems.push("actor_token has no place here");
  const clientId = one("client_id");
  if (!CLIENT_ID.test(clientId)) problems.push("client_id is no client's id");
  const subjectToken = one("subject_token");
  if (subjectToken === "") problems.push("subject_token is not there");
  if (problems.length > 0) throw new RelayError("request_invalid", problems.join("; "));
  return { clientId, subjectToken };
}
