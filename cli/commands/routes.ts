import type { Operator } from "../../client/admin.ts";
import type { Pause } from "../../protocol/deliveries.ts";
import { type Command, EXIT } from "../command.ts";
import { tell } from "../credential.ts";
import { countDeliveries } from "../deliveries/calls.ts";
import { pause, resume, tellPause } from "../deliveries/hold.ts";
import { readOperator } from "../init/operator.ts";
import { invalid, readRecordFile, recordToWrite } from "../records/read-file.ts";
import type { Written } from "../records/registry.ts";
import { reportFailure } from "../report.ts";
import {
  type EditArguments,
  parseRoutesArguments,
  type RoutesArguments,
  type Sources,
} from "../routes/arguments.ts";
import { editRoute, endRotation, type RouteEdit, rotateSecrets } from "../routes/record.ts";
import { ROUTES } from "../routes/registry.ts";
import { canMake, makesItsOwn, readSecret, type SecretSource } from "../routes/secrets.ts";
import { listText, showText } from "../routes/tell.ts";
import { json } from "../table.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast routes list [--json]
       holdfast routes show ID [--json]
       holdfast routes add ID --client ID --target URL --verifier TYPE [secret] [options]
       holdfast routes update ID [options]
       holdfast routes rotate ID secret
       holdfast routes rotate ID --end | --end-sign
       holdfast routes remove ID
       holdfast routes pause ID [--reason TEXT]
       holdfast routes resume ID

Reads and writes the edge's routes, each a URL that a provider calls, <edge>/hooks/ID, and a target to which the relay delivers what
comes, from its own address and under the client's allow, pool and limits. Signed with the deployment's operator key. Each change
takes effect within 10 s, and is written down (holdfast audit).

A secret is never an argument. What is made by --new-secret or --new-sign is written to stdout: once, and nowhere else.
rotate puts a new secret before the one that there is, and both are good until --end drops the old one.
remove ends a route: what it accepted is kept, and not delivered before the route is made again and resumed.
pause keeps deliveries from being made, and nothing from being accepted.

      --client ID          by whom it delivers
      --target URL         where to: inside the client's allow
      --verifier TYPE      how callers prove themselves: standard-webhooks, stripe, github, slack, shopify, twilio, none, or as in
                           hmac,header=X-Signature,hash=sha256,encoding=hex
      --secret-file FILE   the callers' secret: a file, or - for stdin
      --secret-env NAME    ... a variable of the environment
      --new-secret         ... made here (standard-webhooks, github, hmac)
      --sign-file FILE     sign each attempt by Standard Webhooks, with the secret in a file, or - for stdin
      --sign-env NAME      ... in a variable of the environment
      --new-sign           ... made here
      --no-sign            update: sign no more
      --dedupe RULE        what an event is known by: provider, none, header:NAME, json:/POINTER; default is the verifier's own
      --order RULE         which events wait for each other: none, all, header:NAME, json:/POINTER
      --schedule TIMES     before each attempt, as in 0,5s,5m,2h; default is the edge's own
      --limit NAME=VALUE   bodyBytes, requestsPerSecond, deliveriesPerSecond, concurrent, pending; without a value, the edge's own
      --keep NAME=DAYS     for how long what is delivered or dead is kept, as in delivered=7
      --file FILE          add, update: the whole record. update replaces the version that stands in the file, as show --json
                           writes it, or --if-version N, and refuses where that isn't the latest one
      --reason TEXT        pause: why
      --json               list, show: as JSON, with the versions
  -o, --out DIR            the deployment's folder; default ${DEFAULT_OUT}

Exit codes: 0 done, 1 it can't be done, 2 wrong usage.
`;

/** `holdfast routes`: the operator's view of what providers call. */
export const routesCommand: Command = {
  help,
  run: async (args) => {
    const asked = parseRoutesArguments(args);
    try {
      await act(await readOperator(asked.dir), asked);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function act(operator: Operator, asked: RoutesArguments): Promise<void> {
  const write = (text: string) => process.stdout.write(text);
  if (asked.action === "list") {
    const routes = await ROUTES.list(operator);
    write(asked.json ? json(routes) : listText(routes));
  } else if (asked.action === "show") {
    const stored = await ROUTES.read(operator, asked.id);
    const counts = await countDeliveries(operator, `route:${asked.id}`);
    write(asked.json ? json({ ...stored, counts }) : showText(stored, urlOf(operator, asked.id), counts));
  } else if (asked.action === "remove") {
    await ROUTES.remove(operator, asked.id);
    tell(`${asked.id} is removed; what it accepted is kept, and not delivered`);
  } else if (asked.action === "pause") {
    await pause(operator, `route:${asked.id}`, asked.reason);
  } else if (asked.action === "resume") {
    await resume(operator, `route:${asked.id}`);
  } else if (asked.action === "rotate") {
    await rotate(operator, asked);
  } else if ("file" in asked) {
    await writeWhole(operator, asked);
  } else if (asked.action === "add") {
    await add(operator, asked);
  } else {
    const edit = await readEdit(operator, asked);
    const { version, isChanged } = await ROUTES.edit(operator, asked.id, (record) => editRoute(record, edit));
    tell(isChanged ? `${asked.id} is changed, version ${version}` : `${asked.id} is so already`);
    if (isChanged) tellNew(asked.edit.sources, edit);
  }
}

async function add(
  operator: Operator,
  asked: { readonly id: string; readonly edit: EditArguments },
): Promise<void> {
  const { id } = asked;
  const edit = await readEdit(operator, asked);
  const record = editRoute({ id }, edit);
  const written = await ROUTES.writeNew(operator, record);
  tell(`${id} is added: ${urlOf(operator, id)}`);
  if (record.verifier.type === "none") tell("whoever knows this URL can call it: its verifier is none");
  tellNew(asked.edit.sources, edit);
  tellPauseOf(id, written);
}

async function rotate(
  operator: Operator,
  asked: Extract<RoutesArguments, { readonly action: "rotate" }>,
): Promise<void> {
  const { id } = asked;
  if ("end" in asked) {
    const { version } = await ROUTES.edit(operator, id, (record) => endRotation(record, asked.end));
    tell(`${id} has dropped the old secret, version ${version}`);
    return;
  }
  const secrets = await readSources(operator, id, asked.sources);
  const { version } = await ROUTES.edit(operator, id, (record) => rotateSecrets(record, secrets));
  tell(
    `${id} has a new secret, version ${version}, good everywhere in 10 s; the old one goes on until --end`,
  );
  tellNew(asked.sources, secrets);
}

async function writeWhole(
  operator: Operator,
  asked: Extract<RoutesArguments, { readonly file: string }>,
): Promise<void> {
  const { action, id } = asked;
  const { record, known } = recordToWrite(readRecordFile(asked.file), asked, "routes");
  const written = await (action === "add"
    ? ROUTES.writeNew(operator, record)
    : ROUTES.write(operator, record, known));
  tell(`${id} is ${action === "add" ? "added" : "replaced"}, version ${written.version}`);
  tellPauseOf(id, written);
}

async function readEdit(
  operator: Operator,
  { id, edit }: { readonly id: string; readonly edit: EditArguments },
): Promise<RouteEdit> {
  const { sources, noSign, ...members } = edit;
  const { secret, sign } = await readSources(operator, id, sources);
  return { ...members, secret, sign: noSign ? null : sign };
}

/** Reads the secrets. Of one that is made for a route that is there its verifier says in which form. */
async function readSources(operator: Operator, id: string, { secret, sign }: Sources) {
  let source: SecretSource | undefined = secret;
  if (secret?.from === "new" && secret.kind === "") {
    const { type } = (await ROUTES.read(operator, id)).record.verifier;
    if (!canMake(type)) throw invalid(makesItsOwn(type));
    source = { from: "new", kind: type };
  }
  return {
    secret: source && (await readSecret(source)),
    sign: sign && (await readSecret(sign)),
  };
}

/** The one time that secrets are told: those that were made here. */
function tellNew(
  sources: Sources,
  secrets: { readonly secret: string | undefined; readonly sign?: string | null | undefined },
): void {
  for (const [name, what] of [
    ["secret", "the callers' secret"],
    ["sign", "the secret of the outgoing signature"],
  ] as const) {
    if (sources[name]?.from !== "new") continue;
    tell(`${what}, told this once:`);
    process.stdout.write(`${secrets[name]}\n`);
  }
}

/** A name that was removed stays paused. */
function tellPauseOf(id: string, { value }: Written): void {
  tellPause(`route:${id}`, (value as { readonly pause: Pause | null }).pause);
}

function urlOf({ edge }: Operator, id: string): string {
  return `${edge}/hooks/${id}`;
}
