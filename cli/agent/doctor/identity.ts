import { isRelayError } from "../../../client/index.ts";
import type { Certificates } from "../../../client/certificates.ts";
import { failed, type Finding } from "./findings.ts";

/** Where a client without a key has its identity from, and whether the edge gives a certificate for it. Returns whether it does. */
export async function* identityFindings(
  certificates: Pick<Certificates, "source" | "get">,
): AsyncGenerator<Finding, boolean> {
  let check = "platform";
  try {
    yield { check, ok: true, text: `${certificates.source()} tells who is asking` };
    check = "certificate";
    const { alg, from, until } = await certificates.get();
    const end = new Date(until).toISOString().replace(/\.\d+/, "");
    const seconds = Math.round((until - from) / 1_000);
    yield { check, ok: true, text: `the edge gave one for an ${alg} key, for ${seconds} s, until ${end}` };
    return true;
  } catch (error) {
    if (!isRelayError(error)) throw error;
    yield failed(error.code === "platform_token_failed" ? "platform" : check, error);
    return false;
  }
}
