import type { Operator } from "../../client/admin.ts";
import type { Owner, Pause } from "../../protocol/deliveries.ts";
import { tell } from "../credential.ts";
import { countDeliveries, pauseOwner, resumeOwner } from "./calls.ts";
import { pauseText } from "./tell.ts";

/** What `routes` and `deliveries` share: to hold what an owner has to deliver, and to let it go on. */

export async function pause(operator: Operator, owner: Owner, reason: string): Promise<void> {
  await pauseOwner(operator, owner, reason);
  tell(`${owner} is paused: what comes is accepted, and nothing is delivered until \`resume\``);
}

export async function resume(operator: Operator, owner: Owner): Promise<void> {
  const ended = await resumeOwner(operator, owner);
  tell(
    ended === null
      ? `${owner} was not paused; a target that was left alone for its failures is tried now`
      : `${owner} goes on; it was paused ${pauseText(ended)}`,
  );
}

/** What must not be overlooked, where something is to be delivered now. */
export function tellPause(owner: Owner, found: Pause | null): void {
  if (found === null) return;
  const [kind, id] = owner.split(":");
  tell(`${owner} is paused ${pauseText(found)}`);
  tell(`nothing is delivered before \`holdfast deliveries resume --${kind} ${id}\``);
}

/** The same where nobody has asked for it: of a client that was just added, or of what is listed. That it can't be told is no reason to fail. */
export async function tellOlderPause(operator: Operator, owner: Owner): Promise<void> {
  const counts = await countDeliveries(operator, owner).catch(() => undefined);
  tellPause(owner, counts?.pause ?? null);
}
