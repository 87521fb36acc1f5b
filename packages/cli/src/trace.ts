/** `@modslab/cli/trace`: reading allocation traces, for programs beside the command line. */

export { OP_MASK, Op, type Program, ZEROED } from './replay/program.ts';
export { readTrace } from './trace/source.ts';
