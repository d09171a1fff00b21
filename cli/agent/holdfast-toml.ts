import { parse } from "smol-toml";
import * as z from "zod";
import { type Via, VIAS } from "../../client/node/via.ts";
import { LOOPBACK } from "./loopback.ts";
import { type Destination, destination, type Listen } from "./destinations.ts";
import { NAME_WAYS, type NameWay } from "./name-map.ts";

const port = z.int().min(1).max(65_535);

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "is no name of an environment variable");

const listen = z.strictObject({
  address: z
    .string()
    .regex(LOOPBACK, "must lie in 127.0.0.0/8: no other machine may use the listener")
    .optional(),
  port: port.optional(),
});

const one = z
  .strictObject({
    host: z.string().optional(),
    port: port.optional(),
    srv: z.string().optional(),
    listen: listen.optional(),
    env: z.array(variable).optional(),
  })
  .refine(
    ({ srv, host, port: number, listen: at }) =>
      srv === undefined
        ? host !== undefined && number !== undefined
        : host === undefined && number === undefined && at === undefined,
    "needs host and port, or srv alone",
  );

const file = z.strictObject({
  destinations: z.array(one).optional(),
  hosts: z.array(z.string()).optional(),
  env: z.array(variable).optional(),
  names: z.enum(NAME_WAYS).optional(),
  via: z.enum(VIAS).optional(),
  ahead: z.boolean().optional(),
});

/** What a `holdfast.toml` says; undefined where it does not speak of it. */
export interface FileSettings {
  readonly destinations?: Destination[] | undefined;
  readonly services?: string[] | undefined;
  readonly hosts?: string[] | undefined;
  readonly env?: string[] | undefined;
  readonly names?: NameWay | undefined;
  readonly via?: Via | undefined;
  readonly ahead?: boolean | undefined;
}

/**
 * Reads a `holdfast.toml`.
 *
 * @param problems gets every fault, each with the file's name and the place in it
 */
export function parseHoldfastToml(text: string, name: string, problems: string[]): FileSettings {
  let table: unknown;
  try {
    table = parse(text);
  } catch (cause) {
    // The parser's message shows the lines around the fault.
    problems.push(`${name} is no TOML: ${(cause as Error).message.split("\n")[0]}`);
    return {};
  }
  const read = file.safeParse(table);
  if (!read.success) {
    for (const issue of read.error.issues) {
      const place = issue.path.map(String).join(".");
      problems.push(`${name}: ${place === "" ? "" : `${place}: `}${issue.message}`);
    }
    return {};
  }
  const { destinations, hosts, names, via, ahead } = read.data;
  const found: Destination[] = [];
  const services: string[] = [];
  for (const [index, entry] of (destinations ?? []).entries()) {
    try {
      if (entry.srv !== undefined) services.push(destination(entry.srv, 1).host);
      else {
        found.push(destination(entry.host!, entry.port!, entry.listen && { listen: entry.listen as Listen }));
      }
    } catch (cause) {
      problems.push(`${name}: destinations.${index}: ${(cause as Error).message}`);
    }
  }
  const env = [...(read.data.env ?? []), ...(destinations ?? []).flatMap((entry) => entry.env ?? [])];
  return {
    ...(destinations !== undefined && { destinations: found, services }),
    hosts,
    env: env.length === 0 ? undefined : env,
    names,
    via,
    ahead,
  };
}
