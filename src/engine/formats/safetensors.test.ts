import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, writeSafetensors, type TensorSource } from './safetensors.ts';

const assets = resolve(import.meta.dirname, '../../../../shared/assets');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

function source(
  name: string,
  shape: number[],
  dtype: TensorSource['dtype'],
  values: Float32Array | Int32Array | Uint16Array,
): TensorSource {
  return { name, shape, dtype, read: () => Promise.resolve(values) };
}

/** A file with this header text and that many zero bytes of data. */
async function file(name: string, header: string, dataBytes: number, length = Buffer.byteLength(header)): Promise<string> {
  const bytes = Buffer.alloc(8 + Buffer.byteLength(header) + dataBytes);
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(header, 8);
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

const F32x2 = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';

describe('reading', () => {
  it('refuses what the header gets wrong, naming file, tensor and remedy', async () => {
    const entry = (fields: string) => `{"w":{${fields}}}`;
    const cases: [header: string, dataBytes: number, message: RegExp][] = [
      ['{"w":', 0, /not valid JSON/],
      ['[]', 0, /does not start with '\{'/],
      [`{"w":${F32x2},"w":${F32x2}}`, 8, /names w twice/],
      [`{"w":${F32x2},"\\u0077":${F32x2}}`, 8, /names w twice/],
      ['{"w":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}', 8, /names dtype twice/],
      ['{"w":3}', 0, /tensor w is not described by an object/],
      ['{"__metadata__":{"a":1}}', 0, /__metadata__ is not a map of strings/],
      [entry('"dtype":"F33","shape":[2],"data_offsets":[0,8]'), 8, /tensor w has dtype F33; known are BOOL.*convert it/],
      [entry('"dtype":"constructor","shape":[2],"data_offsets":[0,8]'), 8, /has dtype constructor/],
      [entry('"dtype":"F32","shape":[-2],"data_offsets":[0,8]'), 8, /shape \[-2\]; expected whole numbers/],
      [entry('"dtype":"F32","shape":[1.5],"data_offsets":[0,8]'), 8, /shape \[1.5\]/],
      [entry('"dtype":"F32","shape":[2]'), 8, /data_offsets missing/],
      [entry('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]'), 0, /overflows/],
      [entry('"dtype":"F32","shape":[2],"data_offsets":[8,0]'), 8, /ends before it begins/],
      [entry('"dtype":"F32","shape":[2],"data_offsets":[0,8,9]'), 8, /expected two whole numbers/],
      [entry('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), 8, /has 8 bytes where dtype F32 and shape \[3\] need 12/],
      [entry('"dtype":"F32","shape":[2],"data_offsets":[4,12]'), 12, /leaves a hole after the header/],
      [`{"a":${F32x2},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, /tensor b begins at byte \d+ and overlaps a/],
      [`{"a":${F32x2},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8, /overlaps/],
      [`{"a":${F32x2}}`, 9, /last tensor ends at byte \d+ but the file has/],
    ];
    for (const [header, dataBytes, message] of cases) {
      const path = await file('bad.safetensors', header, dataBytes);
      await expect(openSafetensors(path), header).rejects.toThrow(message);
      await expect(openSafetensors(path), header).rejects.toThrow('bad.safetensors');
    }
  });

  it('says where a truncated file ends', async () => {
    // header: 8 + 60 bytes; the data would be bytes 68..76
    const path = await file('cut.safetensors', `{"w":${F32x2}}`.padEnd(60), 4);
    await expect(openSafetensors(path)).rejects.toThrow(
      'cut.safetensors: tensor w says bytes 68..76 but the file ends at 72: it is truncated; download it again',
    );
    await writeFile(path, (await readFile(path)).subarray(0, 30));
    await expect(openSafetensors(path)).rejects.toThrow('says it ends at byte 68 but the file ends at 30');
    await writeFile(path, 'abc');
    await expect(openSafetensors(path)).rejects.toThrow('has 3 bytes where');
  });

  it('refuses a header length no header has, without reading that much', async () => {
    const path = await file('long.safetensors', '{}', 0);
    const bytes = await readFile(path);
    bytes.writeBigUInt64LE(2n ** 63n);
    await writeFile(path, bytes);
    await expect(openSafetensors(path)).rejects.toThrow('9223372036854775808 bytes long, the most allowed is 100000000');
  });

  it('survives a header nested too deep to print', async () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const path = await file('deep.safetensors', `{"w":{"dtype":"F32","shape":${deep},"data_offsets":[0,8]}}`, 8);
    await expect(openSafetensors(path)).rejects.toThrow('deep.safetensors');
  });

  it('takes 3,000 random mutations of a small file with an error that names the file, or reads it', async () => {
    const path = join(folder, 'fuzz.safetensors');
    await writeSafetensors(path, [
      source('model.norm.weight', [4], 'F32', new Float32Array(4)),
      source('lm_head.weight', [3, 2], 'BF16', new Float32Array(6)),
    ]);
    const good = await readFile(path);
    let state = 12345; // a linear congruential generator: the same mutations every time
    const random = (n: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % n;
    const interesting = ['0', '9', '-', '"', '{', '}', '[', ']', ',', ':', '\\', '\0', 'ÿ', 'e', '.', ' '];
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      let bytes = Buffer.from(good);
      for (let change = random(4); change >= 0; change--) {
        const at = random(bytes.length);
        if (random(10) === 0) bytes = bytes.subarray(0, at);
        else if (random(3) === 0) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
        else bytes[at] = random(2) === 0 ? random(256) : interesting[random(interesting.length)].charCodeAt(0);
        if (bytes.length === 0) break;
      }
      await writeFile(path, bytes);
      try {
        const opened = await openSafetensors(path);
        for (const info of opened.tensors.values()) expect((await opened.readRaw(info.name)).length).toBe(info.end - info.begin);
        await opened.close();
      } catch (error) {
        expect((error as Error).constructor).toBe(Error);
        expect((error as Error).message).toContain('fuzz.safetensors');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1500);
  });

  it('names the dtype that cannot be a weight, and the tensor that is not there', async () => {
    const path = join(folder, 'ints.safetensors');
    await writeSafetensors(path, [source('ids', [2], 'I32', Int32Array.of(7, -8))]);
    const opened = await openSafetensors(path);
    await expect(opened.read('ids')).rejects.toThrow('tensor ids has dtype I32');
    await expect(opened.read('id')).rejects.toThrow('there is no tensor id');
    expect([...new Int32Array((await opened.readRaw('ids')).buffer)]).toEqual([7, -8]);
    await opened.close();
    await expect(openSafetensors(join(folder, 'none'))).rejects.toThrow('there is no such file');
    await expect(openSafetensors(folder)).rejects.toThrow('not a file');
  });
});

describe('writing', () => {
  it('writes the bytes the safetensors crate writes', async () => {
    const path = join(folder, 'small.safetensors');
    const { bytes, sha256 } = await writeSafetensors(path, [
      source('b', [2], 'BF16', Float32Array.of(1, -2)),
      source('c', [1, 2], 'F32', Float32Array.of(1, -2)),
      source('a', [2], 'F16', Float32Array.of(1, -2)),
      source('d', [], 'I32', Int32Array.of(5)),
    ]);
    const header =
      '{"__metadata__":{"format":"pt"},"c":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},' +
      '"d":{"dtype":"I32","shape":[],"data_offsets":[8,12]},' +
      '"b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},"a":{"dtype":"F16","shape":[2],"data_offsets":[16,20]}}';
    const written = await readFile(path);
    expect(Number(written.readBigUInt64LE(0)) % 8).toBe(0);
    expect(written.subarray(8, -20).toString().trimEnd()).toBe(header);
    // 1 is 3f800000, -2 is c0000000; as float16 3c00 and c000; as bfloat16 3f80 and c000; all little-endian
    expect(written.subarray(-20).toString('hex')).toBe('0000803f000000c0' + '05000000' + '803f00c0' + '003c00c0');
    expect(bytes).toBe(written.length);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    const again = await writeSafetensors(path, [
      source('d', [], 'I32', Int32Array.of(5)),
      source('a', [2], 'F16', Uint16Array.of(0x3c00, 0xc000)), // raw bits
      source('c', [1, 2], 'F32', Float32Array.of(1, -2)),
      source('b', [2], 'BF16', Float32Array.of(1, -2)),
    ]);
    expect(again.sha256).toBe(sha256);
  });

  it('reads back what it wrote', async () => {
    const path = join(folder, 'back.safetensors');
    const values = Float32Array.from({ length: 12 }, (_, i) => (i - 6) / 4); // exact in every type
    await writeSafetensors(
      path,
      ['F32', 'F16', 'BF16'].map((dtype) => source(dtype, [3, 4], dtype as 'F32', values)),
      { note: 'x' },
    );
    const opened = await openSafetensors(path);
    expect(opened.metadata).toEqual({ note: 'x' });
    for (const name of ['F32', 'F16', 'BF16']) {
      expect(opened.tensors.get(name)).toMatchObject({ dtype: name, shape: [3, 4], file: path });
      expect(await opened.read(name)).toEqual(values);
    }
    await opened.close();
  });

  it('refuses a number float16 has no room for, by the name of its tensor', async () => {
    const big: TensorSource = { name: 'w', shape: [3], dtype: 'F16', read: () => Promise.resolve(Float32Array.of(1, -Infinity, 1e6)) };
    await expect(writeSafetensors(join(folder, 'big.safetensors'), [big])).rejects.toThrow('tensor w holds 1000000, and the largest number of f16 is 65504; write it as bf16 or f32');
    await writeSafetensors(join(folder, 'big.safetensors'), [{ ...big, dtype: 'BF16' }]);
  });

  it('leaves the old file and nothing else when a tensor cannot be produced', async () => {
    const path = join(folder, 'kept.safetensors');
    const good = source('a', [1], 'F32', Float32Array.of(1));
    await writeSafetensors(path, [good]);
    const before = await readFile(path);
    const bad: TensorSource = { name: 'z', shape: [1], dtype: 'F32', read: () => Promise.reject(new Error('the source broke')) };
    await expect(writeSafetensors(path, [good, bad])).rejects.toThrow('the source broke');
    await expect(writeSafetensors(path, [source('a', [2], 'F32', Float32Array.of(1))])).rejects.toThrow(
      'tensor a has 1 values where shape [2] needs 2',
    );
    await expect(writeSafetensors(path, [good, good])).rejects.toThrow('two tensors are named a');
    await expect(writeSafetensors(path, [source('a', [1], 'I32', Float32Array.of(1))])).rejects.toThrow('cannot become I32');
    expect(await readFile(path)).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await expect(writeSafetensors(join(folder, 'no', 'x'), [good])).rejects.toThrow(/cannot write .*x: its folder does not exist/);
  });
});

describe.skipIf(!existsSync(assets))('files of other programs (skipped where ../shared/assets is absent)', () => {
  it('reads ranks and types', async () => {
    const dtypes = join(assets, 'models/safetensors-dtypes');
    const shapes: Record<string, [string, number[]]> = {
      '1d-int32': ['I32', [3]],
      '2d-float64': ['F64', [2, 3]],
      '3d-float32': ['F32', [2, 2, 3]],
      '4d-float32': ['F32', [2, 3, 1, 3]],
    };
    for (const [name, [dtype, shape]] of Object.entries(shapes)) {
      const opened = await openSafetensors(join(dtypes, `tensor-${name}.safetensors`));
      expect(opened.tensors.get('embedding')).toMatchObject({ dtype, shape });
      await opened.close();
    }
  });
  it('refuses the fixture whose lengths do not match', async () => {
    const path = join(assets, 'malformed/weight-inspect/fixtures/tiny.safetensors');
    // 8 + 75 bytes of header, 64 · 128 · 4 of tensor, and five more that belong to nothing
    await expect(openSafetensors(path)).rejects.toThrow(
      'tiny.safetensors: the last tensor ends at byte 32851 but the file has 32856 bytes',
    );
  });
});
