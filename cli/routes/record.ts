import type { Pause } from "../../protocol/deliveries.ts";
import { withEntries } from "../records/edit.ts";
import { invalid } from "../records/read-file.ts";
import type { Versioned } from "../records/registry.ts";

/** A secret as it is sent: its text, or the print of one that the route has and keeps. */
export type SecretForm = string | { readonly print: string };

/** How a route proves who calls it, as far as it is looked at here. */
export interface VerifierForm {
  readonly type: string;
  readonly secrets?: readonly SecretForm[];
  readonly [member: string]: unknown;
}

/** A route's record, as far as it is looked at here: the edge judges it. */
export interface RouteForm {
  readonly id: string;
  readonly client: string;
  readonly target: string;
  readonly verifier: VerifierForm;
  readonly dedupe?: string;
  readonly order?: string;
  /** Seconds before each attempt. */
  readonly schedule?: readonly number[];
  readonly sign?: { readonly secrets: readonly SecretForm[] };
  readonly limits?: Readonly<Record<string, number>>;
  readonly retention?: Readonly<Record<string, number>>;
}

/** A route as the edge tells it. */
export interface ToldRoute extends Versioned<RouteForm> {
  readonly pause: Pause | null;
}

/** What is to be different in a route, whatever else it holds. */
export interface RouteEdit {
  readonly client: string | undefined;
  readonly target: string | undefined;
  /** Without its secrets. */
  readonly verifier: VerifierForm | undefined;
  /** By name: `dedupe`, `order` and `schedule`; undefined for the edge's own again. */
  readonly members: ReadonlyMap<string, unknown>;
  readonly limits: ReadonlyMap<string, number | undefined>;
  readonly retention: ReadonlyMap<string, number | undefined>;
  /** In place of those that there are. */
  readonly secret: string | undefined;
  /** Null takes the outgoing signature away. */
  readonly sign: string | null | undefined;
}

/**
 * A record with the edit applied.
 * @param record one that is new has no more than its id
 */
export function editRoute(record: Pick<RouteForm, "id"> & Partial<RouteForm>, edit: RouteEdit): RouteForm {
  const { limits: _limits, retention: _retention, sign: _sign, verifier, ...rest } = record;
  const { secret } = edit;
  const kept = secret === undefined ? verifier?.secrets : [secret];
  const { secrets: _secrets, ...check } = edit.verifier ?? verifier ?? { type: "" };
  const sign =
    edit.sign === undefined ? record.sign : edit.sign === null ? undefined : { secrets: [edit.sign] };
  const limits = withEntries(record.limits ?? {}, edit.limits);
  const retention = withEntries(record.retention ?? {}, edit.retention);
  return withEntries<unknown>(
    {
      ...rest,
      ...(edit.client !== undefined && { client: edit.client }),
      ...(edit.target !== undefined && { target: edit.target }),
      verifier: { ...check, ...(check.type !== "none" && kept !== undefined && { secrets: kept }) },
      ...(sign !== undefined && { sign }),
      ...(Object.keys(limits).length > 0 && { limits }),
      ...(Object.keys(retention).length > 0 && { retention }),
    },
    edit.members,
  ) as unknown as RouteForm;
}

/** Where a rotation is made: in what proves the callers, or in what signs to the target. */
export interface Rotation {
  /** The new one; undefined where there is nothing to rotate. */
  readonly secret: string | undefined;
  readonly sign: string | undefined;
}

/**
 * A record with new secrets before those that it has, which go on beside them.
 * @throws RelayError `request_invalid` where there are two already, or none
 */
export function rotateSecrets(record: RouteForm, { secret, sign }: Rotation): RouteForm {
  const { verifier } = record;
  return {
    ...record,
    ...(secret !== undefined && {
      verifier: { ...verifier, secrets: rotated(record.id, secret, verifier.secrets, "--end") },
    }),
    ...(sign !== undefined && {
      sign: { secrets: rotated(record.id, sign, record.sign?.secrets, "--end-sign") },
    }),
  };
}

/**
 * A record without the secrets that a rotation left beside the new ones.
 * @throws RelayError `request_invalid` where there is no such one
 */
export function endRotation(
  record: RouteForm,
  which: { readonly secret: boolean; readonly sign: boolean },
): RouteForm {
  const { verifier, sign } = record;
  return {
    ...record,
    ...(which.secret && { verifier: { ...verifier, secrets: ended(record.id, verifier.secrets) } }),
    ...(which.sign && { sign: { secrets: ended(record.id, sign?.secrets) } }),
  };
}

function rotated(
  id: string,
  next: string,
  [current, old]: readonly SecretForm[] = [],
  end: string,
): SecretForm[] {
  if (current === undefined) throw invalid(`${id} has no secret there to rotate: \`update\` gives it one`);
  if (old !== undefined) {
    throw invalid(
      `${id} has an old secret from the last rotation: \`holdfast routes rotate ${id} ${end}\` drops it`,
    );
  }
  return [next, current];
}

function ended(id: string, [current, old]: readonly SecretForm[] = []): SecretForm[] {
  if (current === undefined || old === undefined) throw invalid(`${id} has no old secret there`);
  return [current];
}
