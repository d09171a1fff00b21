import { isDeepStrictEqual } from "node:util";
import { adminCall, type Operator } from "../../client/admin.ts";
import { isRelayError } from "../../client/index.ts";
import type { ClientRecord, VersionedRecord } from "./record.ts";

/** The edge's registry of clients, as an operator reads and writes it. */

/** How often an edit is applied anew, where somebody else wrote the record in between. */
const CONFLICTS_MAX = 3;

/** Every client, by the ids' order. */
export async function listClients(operator: Operator): Promise<VersionedRecord[]> {
  const listed: VersionedRecord[] = [];
  for (let query = ""; ;) {
    const { value } = await adminCall(operator, "GET", `/admin/clients${query}`);
    const { clients, next } = value as { clients: VersionedRecord[]; next: string | null };
    listed.push(...clients);
    if (next === null) return listed;
    query = `?after=${encodeURIComponent(next)}`;
  }
}

/** @throws RelayError `not_found`, or as the edge answered */
export async function readClient(operator: Operator, id: string): Promise<VersionedRecord> {
  const { value, version } = await adminCall(operator, "GET", pathOf(id));
  return { version: numberOf(version), record: value as ClientRecord };
}

/**
 * Writes a whole record.
 * @param known the version that it replaces; undefined for a client that is new
 * @returns the new version
 * @throws RelayError `version_conflict`, or as the edge answered
 */
export async function writeClient(
  operator: Operator,
  record: ClientRecord,
  known: number | undefined,
): Promise<number> {
  const ifMatch = known === undefined ? undefined : `"${known}"`;
  const { version } = await adminCall(operator, "PUT", pathOf(record.id), { body: record, ifMatch });
  return numberOf(version);
}

/**
 * Applies an edit to a record as it is; where somebody else wrote it in between, to what they wrote.
 *
 * @returns the record's version, and whether there was anything to change
 * @throws RelayError as `edit` throws, or as the edge answered
 */
export async function editClient(
  operator: Operator,
  id: string,
  edit: (record: ClientRecord) => ClientRecord,
): Promise<{ readonly version: number; readonly isChanged: boolean }> {
  for (let conflicts = 0; ; conflicts++) {
    const { record, version } = await readClient(operator, id);
    const next = edit(record);
    if (isDeepStrictEqual(next, record)) return { version, isChanged: false };
    try {
      return { version: await writeClient(operator, next, version), isChanged: true };
    } catch (error) {
      if (!isConflict(error) || conflicts === CONFLICTS_MAX) throw error;
    }
  }
}

/** @throws RelayError `not_found`, or as the edge answered */
export async function removeClient(operator: Operator, id: string): Promise<void> {
  // Whatever its version: but that there is none should be told as such.
  await readClient(operator, id);
  await adminCall(operator, "DELETE", pathOf(id), { ifMatch: "*" });
}

function pathOf(id: string): string {
  return `/admin/clients/${encodeURIComponent(id)}`;
}

function numberOf(version: string | undefined): number {
  return Number(version?.replaceAll('"', ""));
}

function isConflict(error: unknown): boolean {
  return isRelayError(error) && error.code === "version_conflict";
}
