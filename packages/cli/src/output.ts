/** Files that commands write when their work is over. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommanderError } from 'commander';
import { printable } from './trace/errors.ts';

function faultOf(file: string): string | undefined {
  const there = statSync(file, { throwIfNoEntry: false });
  if (there?.isDirectory()) return 'it is a folder: name a file';
  const folder = dirname(file);
  if (there === undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    return `there is no folder ${folder}`;
  accessSync(there === undefined ? folder : file, constants.W_OK);
  return undefined;
}

function refuse(path: string, fault: string): never {
  throw new CommanderError(2, 'modslab.output', `cannot write ${printable(path)}: ${printable(fault)}`);
}

/** Makes a folder that files are to be written into, or throws: before the work, too. */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    refuse(folder, `it cannot be a folder: ${(error as Error).message}`);
  }
}

/** Throws unless `file` can be written: asked before the work, whose result would be lost. Makes nothing. */
export function checkOutput(file: string): void {
  let fault: string | undefined;
  try {
    fault = faultOf(file);
  } catch (error) {
    fault = (error as Error).message;
  }
  if (fault !== undefined) refuse(file, fault);
}
