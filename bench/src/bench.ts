/** The benchmark suite, `npm run bench`: every workload, every allocator that this machine has. */

import { command } from './command.ts';

process.exitCode = await command(process.argv.slice(2), { name: 'bench', rounds: 9, roundMs: 50 });
