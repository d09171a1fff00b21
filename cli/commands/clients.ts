import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Operator } from "../../client/admin.ts";
import { RelayError } from "../../protocol/errors.ts";
import { generateClientKey } from "../../protocol/keys.ts";
import { type ClientsArguments, type EditArguments, parseClientsArguments } from "../clients/arguments.ts";
import { readIssuer, readPublicKey, readRecord } from "../clients/read-files.ts";
import { type ClientJwk, editRecord, type RecordEdit, rotateKeys } from "../clients/record.ts";
import { CLIENTS } from "../clients/registry.ts";
import { listText, showText } from "../clients/tell.ts";
import { thumbprintOf } from "../clients/thumbprint.ts";
import { type Command, EXIT } from "../command.ts";
import { tell } from "../credential.ts";
import { tellOlderPause } from "../deliveries/hold.ts";
import { readOperator } from "../init/operator.ts";
import { recordToWrite } from "../records/read-file.ts";
import { reportFailure } from "../report.ts";
import { json, moment } from "../table.ts";
import { DEFAULT_OUT } from "./init.ts";

const help = `Usage: holdfast clients list [--json]
       holdfast clients show ID [--json]
       holdfast clients add ID [--allow TARGET …] [options]
       holdfast clients update ID [--add-allow TARGET …] [--remove-allow TARGET …] [options]
       holdfast clients rotate ID [--overlap TIME] [--key FILE|JWK]
       holdfast clients remove ID

Reads and writes the edge's registry of clients, signed with the deployment's operator key. Each change takes effect within
10 s, at a proxy door within 30 s, and is written down (holdfast audit). Edits are applied to the record as it is: of two at the
same time none is lost.

add makes a client. Without --key and --issuer it makes a key, too, and writes HOLDFAST_URL to stdout: once, and nowhere else.
With --issuer alone HOLDFAST_URL has no key in it.
rotate makes a new key, or takes one by --key. The old ones go on for --overlap (default 24h), then they verify nothing; with
--overlap 0 they end now.
remove ends a client with its handles; its open streams end within 15 s.

      --allow TARGET        add: what it may reach, as in 'https://api.bank.com/v1/*' or tcp://db.example.com:5432
      --add-allow TARGET    update: one more
      --remove-allow TARGET update: one less
      --key FILE|JWK        add, rotate: a public key (Ed25519 or P-256 JWK) whose private half the client keeps
      --add-key FILE|JWK    update: one more public key
      --remove-key PRINT    update: a key by its thumbprint, as show tells it; it ends now
      --issuer RULE         add: a platform's workloads in the place of a key: a JSON file, JSON, or a short form as in
                            github,repository=acme/shop; update: --add-issuer, --remove-issuer
      --limit NAME=VALUE    add, update: as in concurrent=50; without a value, the edge's own again
      --pool NODE           add, update: the nodes that it leaves from; all is every node
      --set MEMBER=VALUE    add, update: any other member of the record, as JSON or as text; without a value, it goes
      --file FILE           add, update: the whole record. update replaces the version that stands in the file, as show --json
                            writes it, or --if-version N, and refuses where that isn't the latest one
      --json                list, show: as JSON, with the versions
  -o, --out DIR             the deployment's folder; default ${DEFAULT_OUT}

What adds, removes and sets may be repeated. Exit codes: 0 done, 1 it can't be done, 2 wrong usage.
`;

/** `holdfast clients`: the operator's view of the registry. */
export const clientsCommand: Command = {
  help,
  run: async (args) => {
    const asked = parseClientsArguments(args);
    try {
      await act(await readOperator(asked.dir), asked);
      return EXIT.ok;
    } catch (error) {
      return reportFailure(error);
    }
  },
};

async function act(operator: Operator, asked: ClientsArguments): Promise<void> {
  const now = Math.floor(Date.now() / 1_000);
  const write = (text: string) => process.stdout.write(text);
  if (asked.action === "list") {
    const clients = await CLIENTS.list(operator);
    write(asked.json ? json(clients) : listText(clients, now));
  } else if (asked.action === "show") {
    const stored = await CLIENTS.read(operator, asked.id);
    write(asked.json ? json(stored) : showText(stored, thumbprintOf, now));
  } else if (asked.action === "remove") {
    await CLIENTS.remove(operator, asked.id);
    tell(
      `${asked.id} is removed; what it handed over, and what its routes accept, is kept and not delivered`,
    );
    warnOfFolder(asked);
  } else if (asked.action === "rotate") {
    await rotate(operator, asked, now);
  } else if ("file" in asked) {
    await writeWhole(operator, asked);
  } else if (asked.action === "add") {
    await add(operator, asked);
  } else {
    const edit = editOf(asked.edit);
    const { version, isChanged } = await CLIENTS.edit(operator, asked.id, (record) =>
      editRecord(record, edit, thumbprintOf),
    );
    tell(isChanged ? `${asked.id} is changed, version ${version}` : `${asked.id} is so already`);
    if (isChanged) warnOfFolder(asked);
  }
}

async function add(
  operator: Operator,
  { id, edit: given }: { readonly id: string; readonly edit: EditArguments },
): Promise<void> {
  const edit = editOf(given);
  const made =
    edit.addKeys.length === 0 && edit.addIssuers.length === 0 ? await generateClientKey() : undefined;
  const keys = made === undefined ? edit.addKeys : [publicHalf(made.publicJwk)];
  const record = editRecord({ id, keys: [], allow: [] }, { ...edit, addKeys: keys }, thumbprintOf);
  await CLIENTS.writeNew(operator, record);
  tell(`${id} is added`);
  await tellOlderPause(operator, `client:${id}`);
  if (record.allow.length === 0) {
    tell(`${id} may reach nothing yet: \`holdfast clients update ${id} --add-allow TARGET\``);
  }
  if (made !== undefined) tellUrl(operator, id, made.privateKey);
  else if (keys.length === 0) tellUrl(operator, id);
}

async function rotate(
  operator: Operator,
  asked: Extract<ClientsArguments, { action: "rotate" }>,
  now: number,
): Promise<void> {
  const { id, key, overlap } = asked;
  const made = key === undefined ? await generateClientKey() : undefined;
  const next = made === undefined ? readPublicKey(key!) : publicHalf(made.publicJwk);
  const until = now + overlap;
  const { version } = await CLIENTS.edit(operator, id, (record) => {
    if (record.keys.some((jwk) => thumbprintOf(jwk) === thumbprintOf(next))) {
      throw new RelayError("request_invalid", `${id} has this key already`);
    }
    return rotateKeys(record, next, until, now);
  });
  const others = overlap === 0 ? "its old keys are no more" : `its old keys go on until ${moment(until)}`;
  tell(`${id} has a new key ${thumbprintOf(next)}, version ${version}, good everywhere in 10 s; ${others}`);
  if (made !== undefined) tellUrl(operator, id, made.privateKey);
  warnOfFolder(asked);
}

async function writeWhole(
  operator: Operator,
  asked: Extract<ClientsArguments, { readonly file: string }>,
): Promise<void> {
  const { action, id, file } = asked;
  const { record, known } = recordToWrite(readRecord(file), asked, "clients");
  const { version } = await (action === "add"
    ? CLIENTS.writeNew(operator, record)
    : CLIENTS.write(operator, record, known));
  tell(`${id} is ${action === "add" ? "added" : "replaced"}, version ${version}`);
  if (action === "update") warnOfFolder(asked);
}

function editOf({ addKeys, addIssuers, removeIssuers, ...given }: EditArguments): RecordEdit {
  return {
    ...given,
    addKeys: addKeys.map((one) => readPublicKey(one)),
    addIssuers: addIssuers.map((one) => readIssuer(one)),
    removeIssuers: removeIssuers.map((one) => readIssuer(one)),
  };
}

function publicHalf({ kty, crv, x }: ClientJwk): ClientJwk {
  return { kty, crv, x } as ClientJwk;
}

/** The one time that the private key is told, where there is one. */
function tellUrl({ edge }: Operator, id: string, privateKey?: string): void {
  const user = privateKey === undefined ? id : `${id}:${privateKey}`;
  process.stdout.write(`${edge.replace("://", `://${user}@`)}\n`);
}

/** What `holdfast register` would write again. */
function warnOfFolder({ dir, id }: { readonly dir: string; readonly id: string }): void {
  const path = `clients/${id}.json`;
  if (!existsSync(join(dir, path))) return;
  tell(`${path} in ${dir} still has ${id} as it was: \`holdfast register\` would put that back`);
}
