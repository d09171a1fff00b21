import * as z from "zod/mini";
import type { EdgeConfig } from "./config.ts";

const ANY_ADDRESS = z.union([z.ipv4(), z.ipv6()]);

/**
 * The address that a request came from, or undefined where nothing trustworthy tells it.
 *
 * A proxy of one's own in front says it in the field that is configured, and must overwrite what a caller sent there.
 * Without one, workerd tells its socket's peer in `cf.clientIp`, which no caller can set. Cloudflare writes
 * `CF-Connecting-IP` itself, and is known by `cf.colo`, which no caller can set either: anywhere else that field is the
 * caller's own word.
 *
 * @example clientAddress(request, { clientAddressHeader: undefined }) // "203.0.113.10"
 */
export function clientAddress(
  request: Pick<Request, "headers"> & { readonly cf?: unknown },
  { clientAddressHeader }: Pick<EdgeConfig, "clientAddressHeader">,
): string | undefined {
  const { headers } = request;
  if (clientAddressHeader !== undefined) return addressOf(headers.get(clientAddressHeader));
  const { clientIp, colo } = (request.cf ?? {}) as { readonly clientIp?: unknown; readonly colo?: unknown };
  if (typeof clientIp === "string") return addressOf(clientIp);
  return typeof colo === "string" ? addressOf(headers.get("cf-connecting-ip")) : undefined;
}

/** Without the port, the brackets and the mapping of an IPv4 caller of a dual-stack listener. */
function addressOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const match = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9a-f:.]+))$/i.exec(text.trim());
  const address = (match?.[1] ?? match?.[2] ?? match?.[3])?.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
  return z.safeParse(ANY_ADDRESS, address).success ? address : undefined;
}
