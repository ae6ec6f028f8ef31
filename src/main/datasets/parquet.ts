/**
 * A Parquet file → its rows as JSON texts, a row group at a time (hyparquet; Snappy, ZSTD, GZIP, Brotli, LZ4 by hyparquet-compressors). Lists and
 * structs are JSON's; times become ISO texts, whole numbers beyond JSON's become texts, and bytes that are no text are left out.
 */
import { asyncBufferFromFile, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { UserError } from '../user-error.ts';
import type { RawRow } from './rows.ts';

export async function* readParquet(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<RawRow, void, void> {
  const file = await asyncBufferFromFile(path);
  let metadata: FileMetaData;
  try {
    metadata = await parquetMetadataAsync(file);
  } catch (error) {
    throw new UserError(`${path}: its end is no end of a Parquet file (${(error as Error).message}): it is cut off or damaged; fetch it again`);
  }
  let start = 0;
  let bytes = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    let rows: Record<string, unknown>[];
    try {
      rows = await parquetReadObjects({ file, metadata, compressors, rowStart: start, rowEnd: end });
    } catch (error) {
      throw new UserError(`${path}: rows ${start + 1} to ${end} cannot be read (${(error as Error).message}): the file is damaged, or packed in a way that is not known here; save it as JSON Lines`);
    }
    bytes += Number(group.total_byte_size);
    onBytes?.(Math.min(bytes, file.byteLength));
    for (const [i, row] of rows.entries()) yield { number: start + i + 1, text: JSON.stringify(row, plain) };
    start = end;
  }
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value instanceof Uint8Array ? undefined : value;
}
