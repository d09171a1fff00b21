import { RelayError } from "../../protocol/errors.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import type { Client } from "../clients.ts";
import { judgeTarget } from "../judge-target.ts";
import type { RouteRecord, SealedSecret } from "../routes.ts";
import type { Sealing } from "../sealing.ts";
import { parseRouteForm, type RouteForm, type SecretForm } from "./route-form.ts";
import { sealSecret, secretPlace, secretProblem, type SecretKind } from "./secrets.ts";

/**
 * Makes a record of what an operator sends, and reports every problem at once, secrets unquoted. A secret that is kept is sealed
 * anew, by the key that is current.
 *
 * @param stored the route's record until now, whose secrets may be kept by their prints
 * @throws RelayError `request_invalid`, `edge_misconfigured` where nothing seals
 */
export async function readRoute(
  value: unknown,
  stored: RouteRecord | undefined,
  sealing: Sealing,
): Promise<RouteRecord> {
  if (!sealing.canSeal) {
    throw new RelayError("edge_misconfigured", "STORAGE_KEYS is not set: it seals what routes keep");
  }
  const { form, problems } = parseRouteForm(value);
  if (form === undefined) throw new RelayError("request_invalid", problems.join("; "));
  const { verifier, sign, ...plain } = form;
  const known = stored?.id === form.id ? secretsIn(stored) : [];
  const read = async (place: string, kind: SecretKind, secrets: readonly SecretForm[]) => {
    const texts = await Promise.all(
      secrets.map((secret, n) => textOf(secret, kind, `${place}.${n}`, known, form, sealing, problems)),
    );
    if (new Set(texts).size < texts.length && !texts.includes(undefined)) {
      problems.push(`${place} must not hold a secret twice`);
    }
    return Promise.all(texts.map((text) => sealSecret(text ?? "", form.id, sealing)));
  };
  const record: RouteRecord = {
    ...plain,
    verifier:
      verifier.type === "none"
        ? verifier
        : { ...verifier, secrets: await read("verifier.secrets", verifier.type, verifier.secrets) },
    ...(sign && { sign: { secrets: await read("sign.secrets", "standard-webhooks", sign.secrets) } }),
  };
  if (problems.length > 0) throw new RelayError("request_invalid", problems.join("; "));
  return record;
}

/** A secret's text; undefined, with a problem more, where it is not to be had. */
async function textOf(
  secret: SecretForm,
  kind: SecretKind,
  place: string,
  known: readonly SealedSecret[],
  { id }: RouteForm,
  sealing: Sealing,
  problems: string[],
): Promise<string | undefined> {
  if (typeof secret === "string") return secret;
  const kept = known.find(({ print }) => print === secret.print);
  if (kept === undefined) {
    problems.push(`${place} names no secret that the route has: send its text`);
    return undefined;
  }
  let text: string;
  try {
    text = await sealing.open(kept.sealed, secretPlace(id));
  } catch {
    problems.push(`${place} can't be opened by any key of STORAGE_KEYS: send its text`);
    return undefined;
  }
  const problem = secretProblem(kind, text);
  if (problem !== undefined) problems.push(`${place} ${problem}`);
  return text;
}

function secretsIn({ verifier, sign }: RouteRecord): readonly SealedSecret[] {
  return [...(verifier.type === "none" ? [] : verifier.secrets), ...(sign?.secrets ?? [])];
}

/** A record with its secrets' prints in their place. */
type ToldRoute = Omit<RouteRecord, "verifier" | "sign"> & {
  readonly verifier: object;
  readonly sign?: { readonly secrets: readonly { readonly print: string }[] };
};

/** A route as it is told: of its secrets the prints alone, so that it can be sent back as it is. */
export function tellRoute({ verifier, sign, ...plain }: RouteRecord): ToldRoute {
  return {
    ...plain,
    verifier: verifier.type === "none" ? verifier : { ...verifier, secrets: printsOf(verifier.secrets) },
    ...(sign && { sign: { secrets: printsOf(sign.secrets) } }),
  };
}

function printsOf(secrets: readonly SealedSecret[]): { readonly print: string }[] {
  return secrets.map(({ print }) => ({ print }));
}

/**
 * Refuses a record whose client may not send what the route delivers.
 * @throws RelayError `target_not_allowed`
 */
export function expectReachable({ target }: RouteRecord, client: Client): void {
  judgeTarget({ kind: "request", method: "POST", url: parseTargetUrl(target) }, client);
}
