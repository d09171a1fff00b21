import { parseArgs } from "node:util";
import { canonicalAddress } from "../protocol/receipts.ts";
import { UsageError } from "./command.ts";
import { readRequestArguments, REQUEST_OPTIONS, type RequestArguments } from "./request-arguments.ts";

/** What `holdfast fetch` was asked for. */
export interface FetchArguments extends RequestArguments {
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
}

const OPTIONS = {
  ...REQUEST_OPTIONS,
  include: { type: "boolean", short: "i" },
  verbose: { type: "boolean", short: "v" },
  output: { type: "string", short: "o" },
  location: { type: "boolean", short: "L" },
  fail: { type: "boolean", short: "f" },
  node: { type: "string", multiple: true },
  idempotent: { type: "boolean" },
  receipt: { type: "boolean" },
  "expect-ip": { type: "string", multiple: true },
} as const;

/** @throws UsageError */
export async function parseFetchArguments(args: readonly string[]): Promise<FetchArguments> {
  const parsed = parse(args);
  const { values } = parsed;
  return {
    ...(await readRequestArguments(parsed)),
    include: values.include ?? false,
    verbose: values.verbose ?? false,
    follow: values.location ?? false,
    fail: values.fail ?? false,
    output: values.output,
    node: values.node?.flatMap((ids) => ids.split(",")),
    idempotent: values.idempotent ?? false,
    receipt: values.receipt ?? false,
    egress: parseAddresses(values["expect-ip"]),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, tokens: true });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
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
