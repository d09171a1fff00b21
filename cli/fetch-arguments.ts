import { openAsBlob } from "node:fs";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import type { Field } from "../client/index.ts";
import { canonicalAddress } from "../protocol/receipts.ts";
import { UsageError } from "./command.ts";

/** What `holdfast fetch` was asked for. */
export interface FetchArguments {
  readonly url: string;
  readonly method: string;
  readonly headers: readonly Field[];
  readonly body: Blob | ReadableStream | undefined;
  readonly include: boolean;
  readonly verbose: boolean;
  readonly follow: boolean;
  readonly fail: boolean;
  readonly output: string | undefined;
  readonly node: readonly string[] | undefined;
  readonly idempotent: boolean;
  readonly receipt: boolean;
  /** The addresses that the request may leave from. */
  readonly egress: readonly string[] | undefined;
  /** Seconds. */
  readonly maxTime: number | undefined;
}

const OPTIONS = {
  request: { type: "string", short: "X" },
  header: { type: "string", short: "H", multiple: true },
  data: { type: "string", short: "d", multiple: true },
  "data-raw": { type: "string", multiple: true },
  include: { type: "boolean", short: "i" },
  verbose: { type: "boolean", short: "v" },
  output: { type: "string", short: "o" },
  location: { type: "boolean", short: "L" },
  fail: { type: "boolean", short: "f" },
  node: { type: "string", multiple: true },
  idempotent: { type: "boolean" },
  receipt: { type: "boolean" },
  "expect-ip": { type: "string", multiple: true },
  "max-time": { type: "string", short: "m" },
} as const;

/** @throws UsageError */
export async function parseFetchArguments(args: readonly string[]): Promise<FetchArguments> {
  const { values, positionals, tokens } = parse(args);
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
    include: values.include ?? false,
    verbose: values.verbose ?? false,
    follow: values.location ?? false,
    fail: values.fail ?? false,
    output: values.output,
    node: values.node?.flatMap((ids) => ids.split(",")),
    idempotent: values.idempotent ?? false,
    receipt: values.receipt ?? false,
    egress: parseAddresses(values["expect-ip"]),
    maxTime: parseSeconds(values["max-time"]),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, tokens: true });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
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

/** The addresses that `--expect-ip` names. @throws UsageError */
export function parseAddresses(lists: readonly string[] | undefined): readonly string[] | undefined {
  const addresses = lists?.flatMap((list) => list.split(",").map((address) => address.trim()));
  const wrong = addresses?.find((address) => canonicalAddress(address) === undefined);
  if (wrong !== undefined) {
    throw new UsageError(`--expect-ip takes IP addresses, and ${JSON.stringify(wrong)} is none`);
  }
  return addresses;
}

function parseSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds <= 0) {
    throw new UsageError("--max-time takes a number of seconds above 0");
  }
  return seconds;
}
