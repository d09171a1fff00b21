/**
 * Who is behind an address: an IPv4 address is one sender, and so is an IPv6 network of 64 bits, of which a stranger has
 * every address. An IPv4 address that a listener of both families shows as a mapped one is the IPv4 address.
 *
 * @example senderOf("2001:db8::1") // "2001:db8:0:0::/64"
 */
export function senderOf(address: string): string {
  if (!address.includes(":")) return address;
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  if (!plain.includes(":")) return plain;
  const [front = "", back] = plain.split("::");
  const head = groupsOf(front);
  const tail = back === undefined ? [] : groupsOf(back);
  const gap = back === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array<string>(gap).fill("0"), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

/** An IPv4 address at the end takes the place of two groups, both beyond the first four. */
function groupsOf(text: string): string[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [group]));
}
