/**
 * `modslab top [TARGET]`: slabtop for a heap, live in the terminal.
 *
 * Keys as slabtop's: the letter of a column sorts by it, space looks again, q ends it. Upper-case letters choose the page; arrows
 * and page keys scroll. Where the output is no terminal, or with -o, one page is printed.
 */
import process, { stderr, stdin, stdout } from 'node:process';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Look, LookError, openLook } from '../look/source.ts';
import { type Moment, momentOf, PAGES, type Page, pageText, SORT_KEYS } from './pages.ts';
import { Screen } from './screen.ts';

interface Flags {
  delay: number;
  once: boolean;
  sort: string;
  page: Page;
}

const KEYS = Object.entries(SORT_KEYS).map(([key, { name }]) => `${key}: ${name}`);

const HELP = `
TARGET is a socket, a process or an address of a program that calls
expose(heap) (a replay does with --expose), or a snapshot. Without: the only
heap that your programs expose.

Sort keys, also while it runs (the default is o):
  ${KEYS.slice(0, 4).join(', ')},
  ${KEYS.slice(4, 8).join(', ')},
  ${KEYS.slice(8).join(', ')}
Pages: C caches, A activity, P CPUs, N nodes, Tab the next one.
Arrows and page keys scroll; space looks again; h help; q quits.

OBJS are all objects that the slabs have room for, ACTIVE those that are live.
ALLOC>= and FREE>= are lower bounds (docs/inspect.md). Rates are per second,
from the second look on; before, and of a snapshot, they are sums.`;

const PAGE_KEYS: Readonly<Record<string, Page>> = { C: 'caches', A: 'activity', P: 'cpus', N: 'nodes' };
/** As slabtop's. */
const DELAY_DEFAULT = 3;
const DELAY_MAX = 3600;

function delay(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.1 && value <= DELAY_MAX) return value;
  throw new InvalidArgumentError(`It must be a number of seconds from 0.1 to ${DELAY_MAX}.`);
}

/** Adds the command to `parent`; `report` is told the exit status. */
export function addTop(parent: Command, report: (status: number) => void): void {
  parent
    .command('top')
    .summary('the caches of a live heap in the terminal, as slabtop shows them')
    .description('Show the caches, CPUs and nodes of a live heap in the terminal.')
    .argument('[target]', 'socket, process, address or snapshot')
    .addOption(
      new Option('-d, --delay <seconds>', 'how often to look').default(DELAY_DEFAULT).argParser(delay),
    )
    .option('-o, --once', 'print one page and end', false)
    .addOption(new Option('-s, --sort <key>', 'sort key').default('o').choices(Object.keys(SORT_KEYS)))
    .addOption(new Option('-p, --page <page>', 'which page').default('caches').choices([...PAGES]))
    .addHelpText('after', HELP)
    .action(async (target: string | undefined, flags: Flags) => {
      let look: Look | undefined;
      try {
        look = await openLook(target);
        if (flags.once || !stdout.isTTY || !stdin.isTTY) await printOnce(look, flags);
        else await new Top(look, flags).run();
      } catch (error) {
        if (!(error instanceof LookError)) throw error;
        stderr.write(`modslab: ${error.message}\n`);
        report(2);
      } finally {
        look?.close();
      }
    });
}

async function printOnce(look: Look, { page, sort }: Flags): Promise<void> {
  const { head, body } = pageText(page, momentOf(await look.image()), undefined, sort);
  stdout.write(`${[...head, ...body].join('\n')}\n`);
}

/** The running view. */
class Top {
  readonly #look: Look;
  readonly #delay: number;
  #sort: string;
  #page: Page;
  #scroll = 0;
  #isHelp = false;
  #now: Moment | undefined;
  #before: Moment | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #end: (error?: Error) => void = () => {};

  constructor(look: Look, { delay: seconds, sort, page }: Flags) {
    this.#look = look;
    this.#delay = seconds;
    this.#sort = sort;
    this.#page = page;
  }

  /** Resolves when the user has had enough; rejects when there is nothing to look at any more. */
  async run(): Promise<void> {
    const screen = new Screen(stdout, stdin, (key) => this.#press(key, screen));
    const ended = new Promise<void>((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error));
    });
    const quit = (): void => this.#end();
    const redraw = (): void => this.#draw(screen);
    process.once('SIGTERM', quit);
    stdout.on('resize', redraw);
    try {
      void this.#tick(screen);
      await ended;
    } finally {
      clearTimeout(this.#timer);
      stdout.off('resize', redraw);
      process.off('SIGTERM', quit);
      screen.close();
    }
  }

  async #tick(screen: Screen): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    clearTimeout(this.#timer);
    try {
      const moment = momentOf(await this.#look.image());
      if (!this.#look.isFile) this.#before = this.#now;
      this.#now = moment;
      this.#draw(screen);
      if (!this.#look.isFile) this.#timer = setTimeout(() => void this.#tick(screen), this.#delay * 1000);
    } catch (error) {
      this.#end(error as Error);
    } finally {
      this.#isLooking = false;
    }
  }

  #press(key: string, screen: Screen): void {
    if (key === 'q' || key === 'quit' || (key === 'escape' && !this.#isHelp)) {
      this.#end();
      return;
    }
    const rows = Math.max(1, screen.rows - 10);
    const moves: Record<string, number> = { up: -1, down: 1, pageup: -rows, pagedown: rows };
    const wasHelp = this.#isHelp;
    this.#isHelp = !wasHelp && (key === 'h' || key === '?');
    if (key === ' ') void this.#tick(screen);
    else if (key === 'tab') this.#turnTo(PAGES[(PAGES.indexOf(this.#page) + 1) % PAGES.length]);
    else if (key in PAGE_KEYS) this.#turnTo(PAGE_KEYS[key]);
    else if (key in SORT_KEYS) this.#sort = key;
    else if (key in moves) this.#scroll = Math.max(0, this.#scroll + moves[key]);
    this.#draw(screen);
  }

  #turnTo(page: Page): void {
    this.#page = page;
    this.#scroll = 0;
  }

  #draw(screen: Screen): void {
    if (this.#now === undefined) return;
    const title = ` modslab top: ${this.#look.name}  ${new Date(this.#now.image.time).toLocaleTimeString('en-GB')}`;
    if (this.#isHelp) {
      screen.draw([title, ...HELP.split('\n')], 0);
      return;
    }
    const { head, body } = pageText(this.#page, this.#now, this.#before, this.#sort);
    const bar = ` ${this.#page}, by ${SORT_KEYS[this.#sort].name}   C A P N pages  h help  q quit`;
    const room = Math.max(0, screen.rows - head.length - 2);
    this.#scroll = Math.min(this.#scroll, Math.max(0, body.length - room));
    const shown = body.slice(this.#scroll, this.#scroll + room);
    screen.draw([title, ...head, ...shown, ...blank(room - shown.length), bar], head.length);
  }
}

const blank = (n: number): string[] => new Array<string>(Math.max(0, n)).fill('');
