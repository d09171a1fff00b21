/** What is read of an ELF file: the 64-bit little-endian layout, from the fields' offsets in its specification. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const FILE_HEADER = {
  programOffset: 32,
  sectionOffset: 40,
  programSize: 54,
  programCount: 56,
  sectionCount: 60,
};
const PROGRAM_HEADER = { fileOffset: 8, fileSize: 32 };

/**
 * An executable without what no process maps: debug information, the symbol table, and the list of sections that names
 * them. They stand behind the last segment, so what is left is the same bytes, cut.
 * @throws Error where the file is no 64-bit little-endian ELF executable
 */
export function withoutDebugInformation(executable: Buffer): Buffer {
  if (!executable.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new Error("this is no 64-bit little-endian ELF file");
  }
  const first = Number(executable.readBigUInt64LE(FILE_HEADER.programOffset));
  const size = executable.readUInt16LE(FILE_HEADER.programSize);
  const count = executable.readUInt16LE(FILE_HEADER.programCount);
  const ends = Array.from({ length: count }, (_, index) => {
    const header = first + index * size;
    const start = executable.readBigUInt64LE(header + PROGRAM_HEADER.fileOffset);
    return Number(start + executable.readBigUInt64LE(header + PROGRAM_HEADER.fileSize));
  });
  const cut = Buffer.from(executable.subarray(0, Math.max(...ends)));
  cut.writeBigUInt64LE(0n, FILE_HEADER.sectionOffset);
  // The count, and the index of the section that holds the names.
  cut.writeUInt32LE(0, FILE_HEADER.sectionCount);
  return cut;
}
