import { openAsBlob } from "node:fs";
import { Readable } from "node:stream";
import type { Field } from "../client/index.ts";
import { UsageError } from "./command.ts";

/** A request as the command line says it, in curl's words. */
export interface RequestArguments {
  readonly url: string;
  readonly method: string;
  readonly headers: readonly Field[];
  readonly body: Blob | ReadableStream | undefined;
  /** Seconds. */
  readonly maxTime: number | undefined;
}

/** The options that say it, for `parseArgs` with tokens. */
export const REQUEST_OPTIONS = {
  request: { type: "string", short: "X" },
  header: { type: "string", short: "H", multiple: true },
  data: { type: "string", short: "d", multiple: true },
  "data-raw": { type: "string", multiple: true },
  "max-time": { type: "string", short: "m" },
} as const;

/** What `parseArgs` made of them. */
interface Parsed {
  readonly values: {
    readonly request?: string | undefined;
    readonly header?: readonly string[] | undefined;
    readonly "max-time"?: string | undefined;
  };
  readonly positionals: readonly string[];
  readonly tokens: readonly {
    readonly kind: string;
    readonly name?: string;
    readonly value?: string | undefined;
  }[];
}

/** @throws UsageError */
export async function readRequestArguments({
  values,
  positionals,
  tokens,
}: Parsed): Promise<RequestArguments> {
  const [url, ...more] = positionals;
  if (url === undefined || more.length > 0) throw new UsageError("give exactly one URL");
  const headers = (values.header ?? []).map(parseHeader);
  const data = tokens.flatMap((token) =>
    token.kind === "option" && (token.name === "data" || token.name === "data-raw")
      ? [{ text: token.value ?? "", raw: token.name === "data-raw" }]
      : [],
  );
  const body = await readData(data);
  const hasType = headers.some(([name]) => name.toLowerCase() === "content-type");
  if (body !== undefined && !hasType) headers.push(["Content-Type", "application/x-www-form-urlencoded"]);
  return {
    url: /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `https://${url}`,
    method: values.request ?? (body === undefined ? "GET" : "POST"),
    headers,
    body,
    maxTime: parseSeconds(values["max-time"]),
  };
}

/** As `fetch` takes it. */
export function initOf({ method, headers, body }: RequestArguments): RequestInit {
  return {
    method,
    headers: headers.map(([name, value]) => [name, value]),
    ...(body !== undefined && { body, duplex: "half" }),
  };
}

/** Arguments are UTF-8; a field's characters are bytes, so what lies beyond ASCII goes out as its UTF-8 bytes. */
function parseHeader(line: string): Field {
  const colon = line.indexOf(":");
  // The line may hold a credential, so it is not quoted.
  if (colon < 1) throw new UsageError('a header is written as "Name: value"');
  const value = Buffer.from(line.slice(colon + 1).trim(), "utf8").toString("latin1");
  return [line.slice(0, colon), value];
}

/** Files stay on disk until they are sent; stdin streams, and so stands alone. */
async function readData(
  data: readonly { text: string; raw: boolean }[],
): Promise<Blob | ReadableStream | undefined> {
  if (data.length === 0) return undefined;
  if (data.some(({ text, raw }) => !raw && text === "@-")) {
    if (data.length > 1) throw new UsageError("@- is a body of its own: give no other data with it");
    return Readable.toWeb(process.stdin) as ReadableStream;
  }
  const parts: (Blob | string)[] = [];
  for (const { text, raw } of data) {
    if (parts.length > 0) parts.push("&");
    parts.push(!raw && text.startsWith("@") ? await openFile(text.slice(1)) : text);
  }
  return new Blob(parts);
}

async function openFile(path: string): Promise<Blob> {
  try {
    return await openAsBlob(path);
  } catch (cause) {
    throw new UsageError(`${path} can't be read`, { cause });
  }
}

/** What `--max-time` says. @throws UsageError */
export function parseSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds <= 0) {
    throw new UsageError("--max-time takes a number of seconds above 0");
  }
  return seconds;
}
