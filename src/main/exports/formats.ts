/** What sorts the formats and types of exports. */
import type { ExportJob } from '../../shared/job.ts';

/** Of whole models: blocks of numbers that share a scale. */
export const isGgufType = (dtype: ExportJob['dtype']): boolean => dtype.startsWith('q');
export const isAdapterFormat = (format: ExportJob['format']): boolean => format === 'peft' || format === 'lora-gguf';
