import type { Report } from './results.ts';

export function writeDocument(_report: Report): string[] {
  return [];
}
