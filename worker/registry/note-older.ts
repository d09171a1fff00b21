import { thumbprintsOf } from "../client-keys.ts";
import type { ClientRecord } from "../clients.ts";
import { ruleIdsOf } from "../issuers.ts";
import type { KeysTable } from "./keys-table.ts";
import type { RulesTable } from "./rules-table.ts";

/**
 * Notes keys and rules of records that are older than their tables. A record that can't be read serves nobody, so it has none to end.
 *
 * @param readable a client's record; undefined where it can't be read
 * @param now seconds since 1970
 */
export async function noteOlder(
  { keys, rules }: { readonly keys: KeysTable; readonly rules: RulesTable },
  readable: (id: string) => ClientRecord | undefined,
  now: number,
): Promise<void> {
  for (const id of keys.unknownClients()) {
    const { keys: jwks = [] } = readable(id) ?? {};
    keys.replace(id, await thumbprintsOf(jwks).catch(() => []), now);
  }
  for (const id of rules.unknownClients()) {
    rules.replace(id, await ruleIdsOf(readable(id) ?? {}).catch(() => []));
  }
}
