import type { Socket } from "node:net";
import type { Writable } from "node:stream";

/**
 * What an accepted connection sends first, ahead of the connection that it goes on by: kept until that is open, so that another attempt
 * has it as well. One read, and no more.
 */
export class FirstBytes {
  readonly #from: Socket;
  #bytes: Buffer | undefined;
  /** Who gets them. */
  #to: Writable | undefined;

  /** @param from paused; it is read only where there is somebody to get it */
  constructor(from: Socket) {
    this.#from = from;
  }

  /** They go to this one from now on, as soon as they are there. It may come to nothing. */
  sendTo(to: Writable): void {
    this.#to = to;
    if (this.#bytes === undefined) this.#from.off("readable", this.#read).on("readable", this.#read);
    else to.write(this.#bytes);
  }

  /** It is open: it has them, and gets what follows by others. */
  passOn(to: Writable): void {
    this.#from.off("readable", this.#read);
    if (this.#bytes !== undefined && this.#to !== to) to.write(this.#bytes);
    this.#bytes = undefined;
  }

  readonly #read = (): void => {
    const bytes = this.#from.read() as Buffer | null;
    if (bytes === null) return;
    this.#from.off("readable", this.#read);
    this.#bytes = bytes;
    if (this.#to?.destroyed === false) this.#to.write(bytes);
  };
}
