/** A terminal's screen: drawn whole, line by line over the old one, on the alternate screen; left as it was found. */
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';

const ALTERNATE = '\x1b[?1049h\x1b[?25l';
const NORMAL = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const TO_LINE_END = '\x1b[K';
const TO_SCREEN_END = '\x1b[J';
const REVERSE = '\x1b[7m';
const PLAIN = '\x1b[0m';

/** What node:readline tells of a key. */
interface Key {
  readonly name?: string;
  readonly ctrl?: boolean;
}

/** Keys that are told by their names; all others by what they type. */
const NAMED: ReadonlySet<string> = new Set(['up', 'down', 'pageup', 'pagedown', 'tab', 'escape']);

export class Screen {
  readonly #out: WriteStream;
  readonly #in: ReadStream;
  readonly #listen: (typed: string | undefined, key: Key) => void;

  /** Takes the terminal over until `close`. `onKey` gets what was typed, or the key's name; `quit` for Ctrl-C. */
  constructor(out: WriteStream, input: ReadStream, onKey: (key: string) => void) {
    this.#out = out;
    this.#in = input;
    this.#listen = (typed, { name = '', ctrl }) => {
      if (ctrl === true) {
        if (name === 'c') onKey('quit');
      } else onKey(NAMED.has(name) ? name : (typed ?? ''));
    };
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on('keypress', this.#listen);
    input.resume();
    out.write(ALTERNATE);
  }

  get columns(): number {
    return this.#out.columns;
  }

  get rows(): number {
    return this.#out.rows;
  }

  /** Shows lines, as many as fit, each cut at the right edge; line number `reversed` stands out. */
  draw(lines: readonly string[], reversed: number): void {
    const shown = lines.slice(0, this.rows).map((line, i) => {
      const cut = line.slice(0, this.columns);
      return i === reversed ? `${REVERSE}${cut.padEnd(this.columns)}${PLAIN}` : `${cut}${TO_LINE_END}`;
    });
    this.#out.write(`${HOME}${shown.join('\r\n')}${TO_SCREEN_END}`);
  }

  close(): void {
    this.#in.off('keypress', this.#listen);
    this.#in.setRawMode(false);
    this.#in.pause();
    this.#out.write(NORMAL);
  }
}
