/** What strangers wrote, for a terminal: without what could move its cursor or colour it, or break the line. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, (character) => {
    const code = character.codePointAt(0)!;
    return `\\u{${code.toString(16)}}`;
  });
}
