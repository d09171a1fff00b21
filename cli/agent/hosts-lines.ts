import type { NameEntry } from "./name-map.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/**
 * Edits of a hosts file's text. They neither add nor drop a byte of a line that is not the agent's: text is taken and given
 * with one character for each byte (latin1), whatever its encoding.
 *
 * A line of ours: `127.78.188.228 db.example.com # holdfast pid=217 start=43811 ns=4026531836`
 */
const OURS = /^[^#]*# holdfast pid=([0-9]{1,10}) start=([0-9]{1,20}) ns=([0-9]{1,20})$/;

/** Puts an owner's names in front: a resolver that takes one address only takes the first. */
export function addLines(text: string, owner: ProcessIdentity, entries: readonly NameEntry[]): string {
  const { pid, start, space } = owner;
  const tag = `# holdfast pid=${pid} start=${start} ns=${space}`;
  return `${entries.map(({ host, address }) => `${address} ${host} ${tag}\n`).join("")}${text}`;
}

/** Leaves out the lines of every owner that is gone. */
export function removeLines(text: string, isGone: (owner: ProcessIdentity) => boolean): string {
  return text
    .split(/(?<=\n)/)
    .filter((line) => {
      const owner = ownerOf(line);
      return owner === undefined || !isGone(owner);
    })
    .join("");
}

/** Whose lines there are. */
export function ownersIn(text: string): ProcessIdentity[] {
  const owners = text.split("\n").flatMap((line) => ownerOf(line) ?? []);
  return owners.filter((owner, index) => owners.findIndex((one) => isSame(one, owner)) === index);
}

/** Whether two identities are of one process. */
export function isSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.pid === b.pid && a.start === b.start && a.space === b.space;
}

/** Which of these hosts a line that is not the agent's names too: many resolvers then give both addresses, ours first. */
export function alsoNamed(text: string, hosts: readonly string[]): string[] {
  const named = new Set<string>();
  for (const line of text.split("\n")) {
    if (ownerOf(line) !== undefined) continue;
    for (const name of namesOf(line)) named.add(name.toLowerCase());
  }
  return hosts.filter((host) => named.has(host));
}

/** The text without the given names: for a copy that nobody else uses. Lines without such a name stay as they are. */
export function withoutNames(text: string, hosts: readonly string[]): string {
  return text
    .split(/(?<=\n)/)
    .flatMap((line) => {
      const names = namesOf(line);
      const kept = names.filter((name) => !hosts.includes(name.toLowerCase()));
      if (kept.length === names.length) return [line];
      return kept.length === 0 ? [] : [`${line.trim().split(/\s+/)[0]} ${kept.join(" ")}\n`];
    })
    .join("");
}

function namesOf(line: string): string[] {
  return line.replace(/#.*/s, "").trim().split(/\s+/).slice(1);
}

function ownerOf(line: string): ProcessIdentity | undefined {
  const match = OURS.exec(line.replace(/\r?\n$/, ""));
  return match === null ? undefined : { pid: Number(match[1]), start: match[2]!, space: match[3]! };
}
