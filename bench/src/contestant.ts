/**
 * The harness's end of a contestant: a process that runs rounds when told to. Lines in, lines out; the protocol is in
 * the head comment of `protocol.ts`. Every wait has a limit, so that a hung allocator fails the benchmark
 * instead of hanging it.
 */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Long enough for a pool with a linear free to fill 8,192 slots in. */
const ANSWER_MS = 120_000;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What one round yields: values that are sums over so many calls. */
export interface Round {
  readonly calls: number;
  readonly values: readonly number[];
}

export class Contestant {
  /** What the process calls itself: name and version of the allocator. */
  identity: string;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private stderr: string;

  private constructor(command: Command) {
    const env = { ...process.env, ...command.env };
    this.identity = '';
    this.stderr = '';
    this.child = spawn(command.program, [...command.args], { env, stdio: 'pipe' });
    this.child.on('error', (error) => this.note(error.message));
    this.child.stdin.on('error', (error) => this.note(error.message));
    this.child.stderr.on('data', (chunk: Buffer) => this.note(chunk.toString()));
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts the process and waits until it is warm. */
  static async start(command: Command): Promise<Contestant> {
    const contestant = new Contestant(command);
    try {
      contestant.identity = await contestant.expect('ready');
    } catch (error) {
      contestant.kill();
      throw error;
    }
    return contestant;
  }

  async round(): Promise<Round> {
    this.child.stdin.write('round\n');
    const [calls = Number.NaN, ...values] = (await this.expect('round')).split(' ').map(Number);
    return { calls, values };
  }

  /** Ends the process; what it found wrong with its heap. `gently`: waits until it has ended by itself. */
  async quit(gently = false): Promise<string[]> {
    const problems: string[] = [];
    this.child.stdin.write('quit\n');
    for (;;) {
      const line = await this.next();
      if (line.startsWith('problem ')) problems.push(line.slice('problem '.length));
      else if (line === 'done') break;
      else throw new Error(line);
    }
    if (gently && this.child.exitCode === null) await once(this.child, 'exit');
    this.kill();
    return problems;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  private note(text: string): void {
    this.stderr += text;
  }

  private async expect(word: string): Promise<string> {
    const line = await this.next();
    if (line.startsWith(`${word} `)) return line.slice(word.length + 1);
    const said = this.stderr.trim().split('\n').at(-1) ?? '';
    throw new Error([line.replace(/^error /, ''), said].filter((text) => text !== '').join(': '));
  }

  private async next(): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${ANSWER_MS / 1000} s`)), ANSWER_MS);
    });
    try {
      const { value, done } = await Promise.race([this.lines.next(), late]);
      if (done !== true) return value;
      throw new Error(this.stderr.trim().split('\n').at(-1) || 'the process ended without a word');
    } finally {
      clearTimeout(timer);
    }
  }
}
