import { parse, type TomlTable, type TomlValue } from "smol-toml";
import { parseHost } from "./connection-url.ts";
import { type Destination, destination, type Listen } from "./destinations.ts";
import { LOOPBACK } from "./loopback.ts";

/** Keys of a tunnel that have a meaning here, or need none. `client` is true in every file that makes sense. */
const KNOWN = new Set(["accept", "connect", "transparent", "client", "encrypted"]);

/**
 * Reads a `.qgtunnel` file: every table that has a `connect` is a tunnel, whatever it is called. Where `transparent` is
 * true, or `accept` names the very host of `connect`, the name leads to the listener; else the program connects to the
 * address in `accept`.
 *
 * @param problems gets every fault
 * @param notes gets what is ignored
 */
export function parseQgtunnelToml(
  text: string,
  name: string,
  problems: string[],
  notes: string[],
): Destination[] {
  let table: TomlTable;
  try {
    table = parse(text);
  } catch (cause) {
    problems.push(`${name} is no TOML: ${(cause as Error).message.split("\n")[0]}`);
    return [];
  }
  const found: Destination[] = [];
  for (const [path, tunnel] of tunnels(table, [])) {
    const place = `${name}: [${path.join(".")}]`;
    for (const key of Object.keys(tunnel).filter((one) => !KNOWN.has(one))) {
      notes.push(`${place} ${key} is ignored`);
    }
    if (tunnel["encrypted"] === true) {
      notes.push(`${place} encrypted is ignored: what is between here and the relay is always encrypted`);
    }
    try {
      found.push(readTunnel(tunnel));
    } catch (cause) {
      problems.push(`${place} ${(cause as Error).message}`);
    }
  }
  if (found.length === 0 && problems.length === 0) notes.push(`${name} names no tunnel`);
  return found;
}

function* tunnels(table: TomlTable, path: readonly string[]): Generator<[readonly string[], TomlTable]> {
  if ("connect" in table) yield [path, table];
  for (const [key, value] of Object.entries(table)) {
    if (isTable(value)) yield* tunnels(value, [...path, key]);
  }
}

function readTunnel({ connect, accept, transparent }: TomlTable): Destination {
  const target = typeof connect === "string" ? parseHost(connect) : undefined;
  if (target?.port === undefined || target.host === "") throw new Error("connect is not host:port");
  const to = destination(target.host, target.port, { named: transparent === true });
  if (accept === undefined) return { ...to, named: true };
  const at = readAccept(accept);
  if (at.host === "" || LOOPBACK.test(at.host)) {
    const listen: Listen =
      at.host === "" && to.named ? { port: at.port } : { address: at.host || "127.0.0.1", port: at.port };
    return { ...to, listen };
  }
  if (at.host !== to.host) throw new Error("accept must be a loopback address, or name the host of connect");
  return { ...to, named: true, ...(at.port !== to.port && { listen: { port: at.port } }) };
}

/** `127.0.0.1:5432`, `localhost:5432`, `:5432`, `"5432"` or 5432. */
function readAccept(accept: TomlValue): { host: string; port: number } {
  const text = typeof accept === "number" || typeof accept === "bigint" ? `:${accept}` : accept;
  const written = typeof text === "string" ? parseHost(/^[0-9]+$/.test(text) ? `:${text}` : text) : undefined;
  if (written?.port === undefined) throw new Error("accept is neither address:port nor a port");
  return { host: written.host === "localhost" ? "127.0.0.1" : written.host, port: written.port };
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}
