import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { fetchEgressList } from "../../client/egress-list.ts";
import { isRelayError } from "../../client/index.ts";
import type { SignedEgressList } from "../../protocol/egress-list.ts";
import { parseRelayUrl } from "../../protocol/keys.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { changeLines, listLines } from "../egress-changes.ts";
import { rootCause } from "../report.ts";

const help = `Usage: holdfast ips [options]

Tells the addresses that targets see, one a line: address, family, node, region, and since when; then the changes that are
planned. The list is proven by the edge's key.

      --edge URL         the edge's origin; by default the one in HOLDFAST_URL
      --json             the whole list as it was signed
      --watch            keep looking, and write each change as one line with its time
      --interval SECONDS how often --watch looks; default 60

Exit codes: 0 the list was told (or the watch was ended by Ctrl-C), 1 it can't be had or proven, 2 wrong usage.
`;

const OPTIONS = {
  edge: { type: "string" },
  json: { type: "boolean" },
  watch: { type: "boolean" },
  interval: { type: "string" },
} as const;

const INTERVAL_SECONDS = 60;
const ANSWER_MS = 15_000;

interface IpsArguments {
  readonly edge: string;
  readonly json: boolean;
  readonly watch: boolean;
  /** Seconds. */
  readonly interval: number;
}

/** `holdfast ips`: what to put on an allowlist, and when it changes. */
export const ipsCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    if (asked.watch) return watch(asked);
    try {
      const list = await ask(asked.edge);
      const text = asked.json ? JSON.stringify(list, null, 2) : listLines(list).join("\n");
      process.stdout.write(`${text}\n`);
      return EXIT.ok;
    } catch (error) {
      process.stderr.write(`holdfast: ${why(error)}\n`);
      return EXIT.failed;
    }
  },
};

/** Goes on through failures; the first list that comes is what changes are told against. */
async function watch({ edge, interval }: IpsArguments): Promise<number> {
  const stopped = new AbortController();
  const { signal } = stopped;
  process.once("SIGINT", () => stopped.abort());
  let failed = false;
  process.stdout.once("error", () => {
    failed = true;
    stopped.abort();
  });
  const now = () => new Date().toISOString();
  let known: SignedEgressList | undefined;
  while (!signal.aborted) {
    try {
      const list = await ask(edge, signal);
      if (known === undefined) {
        const count = new Set(list.addresses.map(({ address }) => address)).size;
        process.stderr.write(
          `holdfast: ${now()} watching ${count} addresses of ${edge}, every ${interval} s\n`,
        );
      } else {
        for (const line of changeLines(known, list)) process.stdout.write(`${now()} ${line}\n`);
      }
      known = list;
    } catch (error) {
      if (!signal.aborted) process.stderr.write(`holdfast: ${now()} ${why(error)}\n`);
    }
    await pause(interval * 1_000, undefined, { signal }).catch(() => {});
  }
  return failed ? EXIT.failed : EXIT.ok;
}

function ask(edge: string, stopped?: AbortSignal): Promise<SignedEgressList> {
  const late = AbortSignal.timeout(ANSWER_MS);
  return fetchEgressList(edge, { signal: stopped === undefined ? late : AbortSignal.any([late, stopped]) });
}

function why(error: unknown): string {
  if (!isRelayError(error)) return error instanceof Error ? error.message : String(error);
  const { code, detail, cause } = error;
  return `${code}: ${detail}${cause instanceof Error ? ` (${rootCause(cause)})` : ""}`;
}

/** @throws UsageError */
function parse(args: readonly string[]): IpsArguments {
  const { edge, json = false, watch: isWatch = false, interval } = parseOptions(args);
  if (json && isWatch) {
    throw new UsageError("--json and --watch can't go together: give one of them");
  }
  const seconds = interval === undefined ? INTERVAL_SECONDS : Number(interval);
  if (!(seconds > 0 && seconds <= 86_400)) {
    throw new UsageError("--interval takes a number of seconds above 0, at most a day");
  }
  return {
    edge: edge === undefined ? edgeOfEnvironment() : edgeOf(edge),
    json,
    watch: isWatch,
    interval: seconds,
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function edgeOfEnvironment(): string {
  const relayUrl = process.env["HOLDFAST_URL"];
  if (relayUrl === undefined || relayUrl === "") {
    throw new UsageError("name the edge by --edge, or set HOLDFAST_URL");
  }
  try {
    return parseRelayUrl(relayUrl).edge;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function edgeOf(text: string): string {
  const url = URL.parse(text);
  const isLoopback = url !== null && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const isOrigin =
    url?.username === "" && url.password === "" && `${url.pathname}${url.search}${url.hash}` === "/";
  // It is not quoted: somebody may have given the whole of HOLDFAST_URL, which holds a key.
  if (!isOrigin || (url.protocol !== "https:" && !(isLoopback && url.protocol === "http:"))) {
    throw new UsageError(
      "--edge takes an origin, as in https://edge.example.com (http for a loopback host alone)",
    );
  }
  return url.origin;
}
