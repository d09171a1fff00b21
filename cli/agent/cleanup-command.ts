/** The command that a watchdog runs: in no list of commands. */
export const CLEANUP_COMMAND = "hosts-cleanup";
