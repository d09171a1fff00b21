import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { PROXY_PASSWORD_BYTES } from "../limits.ts";

/** Who may use the local proxies: whoever was given the password. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
  /** Compares in a time that tells nothing of the password. */
  readonly admits: (user: string, password: string) => boolean;
}

const USER = "holdfast";

/** @param password one made for the run by default; it must be fit for a URL as it stands */
export function proxyCredentials(
  password: string = randomBytes(PROXY_PASSWORD_BYTES).toString("base64url"),
): Credentials {
  const wanted = digest(USER, password);
  return {
    user: USER,
    password,
    admits: (user, given) => timingSafeEqual(digest(user, given), wanted),
  };
}

/** Of one length, whatever is given. */
function digest(user: string, password: string): Buffer {
  return createHash("sha256").update(`${user}\0${password}`).digest();
}
