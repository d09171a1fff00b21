import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { RelayError } from "../../protocol/errors.ts";
import type { Observed } from "../../protocol/observed.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { durationSeconds } from "../duration.ts";
import { readOperator } from "../init/operator.ts";
import { suggestAllow, type Suggestion } from "../learn/suggest.ts";
import { reportFailure } from "../report.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast learn CLIENT [options]

Makes an allow list of what a client used while its record said "mode": "report". The list is written to stdout, one entry a line,
without any wildcard for hosts; what is new in it, and what of the present list was not used, to stderr.

      --since TIME   only what was used within the last s, m, h or d, for instance 7d
      --paths        limit entries to the first part of the paths that were used, where all of them are known
      --apply        write the list into the client's record, and set its mode to enforce
      --json         write all of it to stdout, as JSON
  -o, --out DIR      the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 there is nothing to learn from, or it failed, 2 wrong usage.
`;

interface Arguments {
  readonly client: string;
  readonly dir: string;
  readonly sinceSeconds: number | undefined;
  readonly paths: boolean;
  readonly apply: boolean;
  readonly json: boolean;
}

/** What is used of a client's record. */
interface ClientRecord {
  readonly allow: readonly string[];
  readonly mode?: string;
}

/** `holdfast learn`: a client's allow list, from what it used. */
export const learnCommand: Command = {
  help,
  run: async (args) => {
    const asked = parse(args);
    try {
      return await learn(await readOperator(asked.dir), asked);
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function learn(operator: Operator, { client, sinceSeconds, paths, apply, json }: Arguments) {
  const path = `/admin/clients/${encodeURIComponent(client)}`;
  const { value, version } = await adminCall(operator, "GET", path);
  const record = value as ClientRecord;
  const { value: all } = await adminCall(
    operator,
    "GET",
    `/admin/observed?client=${encodeURIComponent(client)}`,
  );
  const { entries, dropped } = all as Observed;
  const since = sinceSeconds === undefined ? 0 : Math.floor(Date.now() / 1_000) - sinceSeconds;
  const seen = entries.filter(({ last }) => last >= since);
  if (seen.length === 0) {
    throw new RelayError(
      "request_invalid",
      `nothing that ${client} used is noted: ${hint(record, entries.length)}`,
    );
  }
  const suggestion = suggestAllow(seen, record.allow, { paths });
  if (apply) {
    const body = { ...record, allow: suggestion.allow, mode: "enforce" };
    await adminCall(operator, "PUT", path, { body, ifMatch: version });
  }
  const mode = apply ? "enforce" : (record.mode ?? "enforce");
  if (json) {
    process.stdout.write(`${JSON.stringify({ client, mode, applied: apply, dropped, ...suggestion })}\n`);
  } else {
    process.stdout.write(suggestion.allow.map((entry) => `${entry}\n`).join(""));
    process.stderr.write(notes(client, mode, dropped, apply, suggestion));
  }
  return EXIT.ok;
}

function hint({ mode }: ClientRecord, kept: number): string {
  if (kept > 0) return "take a longer time with --since";
  return mode === "report"
    ? "let it work for a while; what it uses is noted within seconds"
    : 'set "mode": "report" in its record first, which lets it reach every public address meanwhile';
}

function notes(
  client: string,
  mode: string,
  dropped: number,
  applied: boolean,
  { allow, added, unused, narrowed }: Suggestion,
): string {
  const list = (what: string, entries: readonly string[]) =>
    entries.length === 0 ? [] : [`${what}:`, ...entries.map((entry) => `  ${entry}`)];
  return [
    applied
      ? `holdfast: ${client} has these ${allow.length} entries now, and its mode is enforce`
      : `holdfast: ${client} used ${allow.length} entries; its mode is ${mode}`,
    ...(dropped > 0 ? [`holdfast: ${dropped} more were seen and not kept: the list is not whole`] : []),
    ...list("new, which the present list would refuse", added),
    ...list("in the present list, and not used", unused),
    ...list("in the present list, and wider than what was used", narrowed),
    "",
  ].join("\n");
}

function parse(args: readonly string[]): Arguments {
  const { values, positionals } = parsed(args);
  const [client, ...more] = positionals;
  if (client === undefined || more.length > 0) throw new UsageError("name one client");
  const sinceSeconds = values.since === undefined ? undefined : durationSeconds(values.since);
  if (values.since !== undefined && sinceSeconds === undefined) {
    throw new UsageError("--since is a number with s, m, h or d, for instance 7d");
  }
  const { paths = false, apply = false, json = false } = values;
  return { client, dir: resolve(values.out ?? DEFAULT_OUT), sinceSeconds, paths, apply, json };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        since: { type: "string" },
        paths: { type: "boolean" },
        apply: { type: "boolean" },
        json: { type: "boolean" },
        out: { type: "string", short: "o" },
      },
      allowPositionals: true,
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
