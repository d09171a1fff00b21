import type { EdgeConfig } from "./config.ts";

/**
 * The address that a request came from, or undefined where nothing trustworthy tells it.
 *
 * A proxy of one's own in front says it in the field that is configured. Without one, workerd tells its socket's peer in
 * `cf.clientIp`, which no caller can set, and Cloudflare writes `CF-Connecting-IP` itself.
 */
export function clientAddress(
  request: Request,
  { clientAddressHeader }: Pick<EdgeConfig, "clientAddressHeader">,
): string | undefined {
  if (clientAddressHeader !== undefined) return addressOf(request.headers.get(clientAddressHeader));
  const { clientIp } = ((request as { readonly cf?: unknown }).cf ?? {}) as { readonly clientIp?: unknown };
  if (typeof clientIp === "string") return addressOf(clientIp);
  return addressOf(request.headers.get("cf-connecting-ip"));
}

/** Without the port, the brackets and the mapping of an IPv4 caller of a dual-stack listener. */
function addressOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const match = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9a-f:.]+))$/i.exec(text.trim());
  const address = match?.[1] ?? match?.[2] ?? match?.[3];
  return address?.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
}
